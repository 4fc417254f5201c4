"""Which surface a grid shows that points were splatted onto: near ones hide far ones, gaps are found and filled."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.bilinear import enlarged

_DEPTH_SHARPNESS: Final = 0.25  # per px of depth: 1 cm nearer outweighs e^2.5 to 1
_DEEPEST: Final = -40.0  # exponent of what lies farthest back: 16 cm behind the nearest point
_BEHIND_PX: Final = 15.0


def nearness(points: Tensor) -> Tensor:
    """Weights that let near points hide far ones, [B, N, 3] px to [B, N], 0 to 1."""
    depth = points[..., 2] - points[..., 2].amax(1, keepdim=True)
    return (depth * _DEPTH_SHARPNESS).clamp(min=_DEEPEST).exp()


def in_front(weight: Tensor) -> Tensor:
    """1 where a cell shows the surface around it, 0 where a gap shows what lies behind.

    Takes the sums of `nearness` in each cell, [B, 1, H, W], to the same shape.
    """
    depth = weight.clamp(min=1e-20).log() / _DEPTH_SHARPNESS
    return (closed(depth) - depth < _BEHIND_PX).to(weight.dtype)


def closed(grid: Tensor) -> Tensor:
    """Morphological closing of [B, C, H, W] by 3 x 3 cells: fills what is narrower."""
    return -F.max_pool2d(-F.max_pool2d(grid, 3, 1, 1), 3, 1, 1)


def fill(values: Tensor, coverage: Tensor) -> Tensor:
    """Fill cells that nothing reached from ever coarser grids.

    Args:
        values: Multiplied by `coverage`, [B, C, S, S], S a power of two.
        coverage: [B, 1, S, S], 0 to 1.

    Source: Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4 (pull-push).
    """
    if values.shape[-1] <= 2:
        return values / coverage.clamp(min=1e-6)
    below = F.avg_pool2d(torch.cat([values, coverage], 1), 2) * 4.0
    density = below[:, -1:].clamp(min=1e-6)
    full = density.clamp(max=1.0)
    coarse = fill(below[:, :-1] / density * full, full)
    return values + (1.0 - coverage) * enlarged(coarse, 2)
