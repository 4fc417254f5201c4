"""Where pixels lie, and pictures read between them. Places are in frame pixels, integers at their centres."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.visavis.fit import FRAME_PX


def pixels(height: int, width: int, detail: int = 1, device: torch.device | None = None) -> Tensor:
    """Where the picture's pixels lie, [d height, d width, 2] (x, y), frame px: integers are a frame pixel's centre."""
    rows, columns = ((torch.arange(n * detail, device=device) + 0.5) / detail - 0.5 for n in (height, width))
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)


def finer(photo: Tensor) -> Tensor:
    """Photos [B, 3, S, S] with twice the pixels along each side, which is what the geometry wants.

    Read between their own pixels they would lose a fifth of the finest contrast, more or less with every movement.
    """
    return F.interpolate(photo, scale_factor=2.0, mode="bicubic", align_corners=False)


def positions(way: Tensor) -> Tensor:
    """Offsets [B, 2, 128, 128] in frame px to positions in the photo, -1 to 1, same shape."""
    # centres of the cells, px from the edge
    cells = torch.arange(FRAME_PX // 2, dtype=way.dtype, device=way.device) * 2.0 + 1.0
    grid = torch.stack(torch.meshgrid(cells, cells, indexing="xy"))
    return (way + grid) / (FRAME_PX / 2) - 1.0


def sample(picture: Tensor, at: Tensor) -> Tensor:
    """Pictures [B, C, H, W] read at [B, h, w, 2] (x, y), -1 to 1, beyond their edges as at them: [B, C, h, w]."""
    return F.grid_sample(picture, at, padding_mode="border", align_corners=False)
