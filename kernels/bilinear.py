"""Bilinear enlargement by a whole factor, in a form that OpenVINO runs fast."""

import torch
import torch.nn.functional as F
from torch import Tensor


def enlarged(grid: Tensor, factor: int) -> Tensor:
    """Grids [B, C, h, w] to [B, C, factor h, factor w], `F.interpolate` between the cells' centres.

    A pixel lies between three cells along each side at most, so all pixels of a cell are channels of one 3 x 3
    convolution. So it is exported: OpenVINO takes 0.35 ms for it where its own interpolation takes 0.7 (one channel,
    128 to 256 px). Torch is quicker with the interpolation.
    """
    if not torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage]
        return F.interpolate(grid, scale_factor=float(factor), mode="bilinear", align_corners=False)
    batch, channels, height, width = map(int, grid.shape)  # traced, they would be part of the graph
    off = (torch.arange(factor, dtype=grid.dtype, device=grid.device) + 0.5) / factor - 0.5  # from the cell's centre
    taps = torch.stack([(-off).clamp(min=0.0), 1.0 - off.abs(), off.clamp(min=0.0)], 1)  # [factor, 3]
    weight = torch.einsum("ya,xb->yxab", taps, taps).reshape(factor**2, 1, 3, 3)
    rows = F.pad(grid, (1, 1, 1, 1), mode="replicate").view(batch * channels, 1, height + 2, width + 2)
    return F.pixel_shuffle(F.conv2d(rows, weight), factor).view(batch, channels, height * factor, width * factor)
