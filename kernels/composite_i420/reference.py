import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.i420 import rgb_to_i420_reference


def composite_i420_reference(photo: Tensor, crop: Tensor, matte: Tensor, to_crop: Tensor) -> Tensor:
    """Slow, obvious version of `composite_i420`; same contract, any device. In float32, or float64 if given."""
    work = torch.promote_types(crop.dtype, torch.float32)
    height, width = photo.shape[2:]
    at = _crop_positions(to_crop.to(work), height, width, crop.shape[2], crop.shape[3])
    colour = F.grid_sample(crop.to(work), at, padding_mode="border", align_corners=False).clamp(-1, 1)
    cover = F.grid_sample(matte.to(work).expand(len(photo), -1, -1, -1), at, align_corners=False)  # 0 beyond the crop
    still = photo.to(work) / 127.5 - 1
    return rgb_to_i420_reference(still + cover * (colour - still))


def _crop_positions(to_crop: Tensor, height: int, width: int, crop_height: int, crop_width: int) -> Tensor:
    """Where each pixel of the photo lies in the crop, [B, height, width, 2], -1 to 1 from edge to edge."""
    rows = torch.arange(height, dtype=to_crop.dtype, device=to_crop.device)
    columns = torch.arange(width, dtype=to_crop.dtype, device=to_crop.device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # [height, width, 3]
    at_x, at_y = torch.einsum("hwk,bik->ibhw", points, to_crop)
    return torch.stack([(at_x * 2 + 1) / crop_width - 1, (at_y * 2 + 1) / crop_height - 1], dim=-1)
