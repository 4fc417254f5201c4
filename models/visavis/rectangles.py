"""Rectangles of one size that lie elsewhere in each row of a batch: cut out, put back. The host reads no corner."""

import torch
from torch import Tensor

Size = tuple[int, int]
"""Height and width."""


def around(middle: Tensor, size: Size, side: int, step: int = 1) -> Tensor:
    """Upper left cells [B, 2] (x, y), int64, multiples of `step`, of rectangles around middles [B, 2] in a square."""
    height, width = size
    x, y = (
        (((middle[:, axis] - length / 2) / step).round() * step).clamp(0, side - length)
        for axis, length in enumerate((width, height))
    )
    return torch.stack([x, y], 1).long()


def cut(image: Tensor, corner: Tensor, height: int, width: int) -> Tensor:
    """The rectangle of each row [B, C, H, W] at its own corner [B, 2] (x, y), [B, C, height, width]."""
    at = cells(image, corner, height, width)
    return image.flatten(2).gather(2, at).unflatten(2, (height, width))


def paste(image: Tensor, patch: Tensor, corner: Tensor) -> Tensor:
    """A copy of `image` with each row's patch put back where `cut` took it."""
    at = cells(image, corner, *patch.shape[2:])
    return image.flatten(2).scatter(2, at, patch.flatten(2)).view_as(image)


def cells(image: Tensor, corner: Tensor, height: int, width: int) -> Tensor:
    """Which pixels of each row [B, C, H, W] its rectangle holds, [B, C, height * width]."""
    rows = torch.arange(height, device=image.device) + corner[:, 1:]
    columns = torch.arange(width, device=image.device) + corner[:, :1]
    cells = rows[:, :, None] * image.shape[3] + columns[:, None]
    return cells.flatten(1)[:, None].expand(-1, image.shape[1], -1)
