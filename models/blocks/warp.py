"""The one warp primitive of the flow-based generators: features read where a grid points to."""

import torch
import torch.nn.functional as F
from torch import Tensor


def identity_grid(size: tuple[int, ...], like: Tensor) -> Tensor:
    """The grid that points each cell to itself, with end points: the outermost cell centres are -1 and 1.

    Args:
        size: H, W or D, H, W.
        like: A tensor on the wanted device and of the wanted type.

    Returns:
        [*size, 2 or 3], last axis x, y(, z).
    """
    axes = [torch.linspace(-1.0, 1.0, n, device=like.device, dtype=like.dtype) for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1], -1)


def warp(source: Tensor, grid: Tensor, *, align_corners: bool) -> Tensor:
    """Read features (bi- or trilinear) where a grid points to; what lies outside is 0.

    `align_corners` says what -1 and 1 mean: True the centres of the outermost cells, False their outer edges. With
    False an `identity_grid` does not give the source back: it reads a little outside it. The published generators
    (face-vid2vid, LIA) do just that, and their weights know it, so the choice is the caller's to spell out.

    Args:
        source: [B, C, *S], S being H, W or D, H, W.
        grid: [B, *T, 2 or 3], x, y(, z).

    Returns:
        [B, C, *T].
    """
    # networks are traced for OpenVINO, which samples planes only
    if source.dim() == 5 and torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage] - torch documents it
        return warp_planes(source, grid, align_corners=align_corners)
    return F.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=align_corners)


def warp_planes(source: Tensor, grid: Tensor, *, align_corners: bool) -> Tensor:
    """`warp` of volumes [B, C, D, H, W] plane by plane: each weighs in as its distance along z says. Exact."""
    depth = source.shape[2]
    places = grid[..., :2].flatten(1, -3)
    z = (grid[..., 2] + 1) / 2 * (depth - 1) if align_corners else ((grid[..., 2] + 1) * depth - 1) / 2
    out = torch.zeros_like(z[:, None])
    for plane in range(depth):
        there = F.grid_sample(source[:, :, plane], places, "bilinear", "zeros", align_corners)
        share = (1 - (z - plane).abs()).clamp(min=0)
        out = out + there.unflatten(2, grid.shape[1:-2]) * share[:, None]
    return out
