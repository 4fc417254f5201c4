import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.bilinear import enlarged


def flow_warp_reference(
    features: Tensor,
    flow: Tensor,
    occlusion: Tensor | None,
    background: Tensor | None,
    size: tuple[int, int],
    align_corners: bool,
    border: bool,
) -> Tensor:
    """Slow, obvious version of `flow_warp`; same contract, any device. In float32, or float64 if given."""
    work = torch.promote_types(features.dtype, torch.float32)
    at = _upsample(flow.to(work), size).permute(0, 2, 3, 1)
    padding = "border" if border else "zeros"
    out = F.grid_sample(features.to(work), at, padding_mode=padding, align_corners=align_corners)
    if occlusion is not None:
        shown = _upsample(occlusion.to(work), size)
        out = out * shown
        if background is not None:
            out = out + (1 - shown) * background.to(work)
    return out.to(features.dtype)


def _upsample(coarse: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = map(int, coarse.shape[2:])
    if size == (height, width):
        return coarse
    if size[0] % height == 0 and size[0] * width == size[1] * height:
        return enlarged(coarse, size[0] // height)
    return F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
