"""The augmentation that takes identity out of a clip and leaves mouth and pose: PC-AVS, systems.md, 2.5.

Colours, proportions, perspective and sharpness change; the same way for all frames of a clip, so that motion stays.
Lengths are given for 224 px faces and scale with the face: nine pixels are all of a mouth in a face of 128.
"""

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

_PUBLISHED_PX: Final = 224
_MEDIANS: Final = (3, 5, 7, 9)
_SHARPEN: Final = ((-1.0, -1.0, -1.0), (-1.0, 9.0, -1.0), (-1.0, -1.0, -1.0))


@dataclass(frozen=True)
class Augmentation:
    """One draw, applied to all frames of a clip.

    Attributes:
        gain: Factor on the levels of some channels, 0.3 to 1.6.
        channels: Which channels, first and end.
        tall: Whether the face becomes narrower and taller; otherwise wider and flatter.
        squeeze_px: By how much each side moves, 15 to 24.
        extra_px: Mirrored margin that is left around, 0 to less than half of `squeeze_px`.
        narrow_px: How far the lower corners move inwards, 20 to 29 either way.
        enlarge_px: How far outside the picture those corners lie, 20 to 39 either way.
        median: Side of the median filter; None sharpens instead.
    """

    gain: float
    channels: tuple[int, int]
    tall: bool
    squeeze_px: int
    extra_px: int
    narrow_px: int
    enlarge_px: int
    median: int | None

    @classmethod
    def draw(cls, random: torch.Generator) -> "Augmentation":
        """Draw as published."""

        def integer(low: int, end: int) -> int:
            return int(torch.randint(low, end, (), generator=random))

        first, squeeze = integer(0, 2), integer(15, 25)
        return cls(
            gain=0.3 + 1.3 * float(torch.rand((), generator=random)),
            channels=(first, integer(first + 1, 4)),
            tall=bool(integer(0, 2)),
            squeeze_px=squeeze,
            extra_px=integer(0, squeeze // 2),
            narrow_px=integer(20, 30) * (1 - 2 * integer(0, 2)),
            enlarge_px=integer(20, 40) * (1 - 2 * integer(0, 2)),
            median=_MEDIANS[integer(0, 4)] if integer(0, 2) else None,
        )


def augment(clip: Tensor, how: Augmentation) -> Tensor:
    """Change a clip [T, 3, S, S], RGB, -1 to 1, and give it back in the same form."""
    levels = (clip + 1.0) / 2.0
    levels = recolour(levels, how.gain, how.channels)
    levels = reshape(levels, how)
    levels = blur(levels, filter_px(how.median, clip.shape[-1])) if how.median else sharpen(levels)
    return levels * 2.0 - 1.0


def filter_px(median: int, face_px: int) -> int:
    """The odd side, 3 or more, of a median filter in faces of `face_px`."""
    return max(3, 2 * round((median * face_px / _PUBLISHED_PX - 1) / 2) + 1)


def recolour(levels: Tensor, gain: float, channels: tuple[int, int]) -> Tensor:
    """Levels [T, 3, H, W], 0 to 1, with some channels multiplied and clipped."""
    factor = levels.new_ones(3, 1, 1)
    factor[slice(*channels)] = gain
    return (levels * factor).clamp(0.0, 1.0)


def reshape(levels: Tensor, how: Augmentation) -> Tensor:
    """Squeeze one axis and stretch the other about the middle, then the perspective; the size stays."""
    side = levels.shape[-1]
    px = side / _PUBLISHED_PX
    squeeze, extra = round(how.squeeze_px * px), round(how.extra_px * px)
    tall = levels if how.tall else levels.transpose(2, 3)
    size = (side + 2 * squeeze, side - 2 * squeeze)
    tall = F.interpolate(tall, size=size, mode="bilinear", align_corners=False)
    tall = F.pad(tall, (squeeze + extra, squeeze + extra, 0, 0), mode="reflect")
    tall = tall[:, :, squeeze - extra : side + squeeze + extra]
    moved = corners(float(tall.shape[-1]), how.narrow_px * px, how.enlarge_px * px)
    return perspective(tall if how.tall else tall.transpose(2, 3), *moved, side)


def corners(side: float, narrow: float, enlarge: float) -> tuple[Tensor, Tensor]:
    """Corners of the enlarged square before and after, [4, 2], (x, y): the lower two move inwards."""
    low, high = -enlarge, side + enlarge
    before = torch.tensor([[low, low], [low, high], [high, low], [high, high]])
    return before, before + torch.tensor([[0.0, 0.0], [narrow, 0.0], [0.0, 0.0], [-narrow, 0.0]])


def homography(before: Tensor, after: Tensor) -> Tensor:
    """The 3 x 3 matrix, last entry 1, that moves four points [4, 2] to four others."""
    rows = list[Tensor]()
    for (x, y), (u, v) in zip(before.double().tolist(), after.double().tolist(), strict=True):
        rows.append(torch.tensor([x, y, 1, 0, 0, 0, -u * x, -u * y], dtype=torch.float64))
        rows.append(torch.tensor([0, 0, 0, x, y, 1, -v * x, -v * y], dtype=torch.float64))
    entries = torch.linalg.solve(torch.stack(rows), after.double().flatten())
    return torch.cat([entries, entries.new_ones(1)]).view(3, 3).float()


def perspective(picture: Tensor, before: Tensor, after: Tensor, side: int) -> Tensor:
    """Move four points (pixels) of pictures [T, 3, H, W]; the answer is [T, 3, side, side], edges repeated."""
    height, width = picture.shape[-2:]
    back = homography(after, before).to(picture)
    axis = torch.arange(side, device=picture.device, dtype=picture.dtype)
    x, y = torch.meshgrid(axis, axis, indexing="xy")
    at = torch.stack([x, y, torch.ones_like(x)], -1) @ back.t()
    at = at[..., :2] / at[..., 2:]
    grid = at * at.new_tensor([2.0 / (width - 1), 2.0 / (height - 1)]) - 1.0
    grid = grid.expand(picture.shape[0], -1, -1, -1)
    return F.grid_sample(picture, grid, padding_mode="border", align_corners=True)


def blur(levels: Tensor, side: int) -> Tensor:
    """Median of each pixel's square neighbourhood, edges repeated."""
    margin = side // 2
    wide = F.pad(levels, (margin,) * 4, mode="replicate")
    return wide.unfold(2, side, 1).unfold(3, side, 1).flatten(4).median(4).values


def sharpen(levels: Tensor) -> Tensor:
    """Each pixel times nine less its eight neighbours, clipped to 0 and 1."""
    kernel = levels.new_tensor(_SHARPEN).expand(3, 1, 3, 3)
    return F.conv2d(F.pad(levels, (1,) * 4, mode="reflect"), kernel, groups=3).clamp(0.0, 1.0)
