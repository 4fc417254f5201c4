"""What surrounds a drawn frame in its photo, and pasting the frame back into it."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

FEATHER: Final = 1 / 64
"""Share of the frame's side, from each of its edges, over which a pasted frame comes in."""


@dataclass(frozen=True)
class Canvas:
    """The photo around a frame, at the frame's own resolution: their pixels coincide.

    Attributes:
        rgb: The picture, [3, H, W], uint8, sRGB; H and W even.
        corner: Where in it the frame's upper left pixel lies (x, y), px, even; below 0 where the photo ends earlier.
        place: What it shows of the photo (x0, y0, x1, y1), photo px; None if it was read from a file.
    """

    rgb: Tensor
    corner: tuple[int, int]
    place: tuple[float, float, float, float] | None = None

    @property
    def bytes(self) -> int:
        """Memory that the picture takes."""
        return self.rgb.numel()


def matte(frame_px: int) -> Tensor:
    """How much of a pasted frame shows, [frame_px, frame_px], 0 at its outermost pixels to 1."""
    edge = torch.arange(frame_px) / (FEATHER * frame_px)
    share = torch.minimum(edge, edge.flip(0)).clamp(max=1.0)
    return torch.minimum(share[:, None], share[None])


class Paste:
    """Lays frames over one canvas, soft towards the frame's edges.

    Attributes:
        rows: Of the canvas, those that the frame covers; begin and end are even.
        columns: Likewise.
    """

    def __init__(self, canvas: Canvas, frame_px: int) -> None:
        x, y = canvas.corner
        _, height, width = canvas.rgb.shape
        self.rows = slice(max(y, 0), min(y + frame_px, height))
        self.columns = slice(max(x, 0), min(x + frame_px, width))
        self._inside = (
            slice(self.rows.start - y, self.rows.stop - y),
            slice(self.columns.start - x, self.columns.stop - x),
        )
        self._still = canvas.rgb[:, self.rows, self.columns][None] / 127.5 - 1.0
        self._share = matte(frame_px)[self._inside]

    def blend(self, frame: Tensor) -> Tensor:
        """What `rows` and `columns` of the canvas show under a frame.

        Args:
            frame: [1, 3, frame_px, frame_px], float, -1 to 1, on the CPU.

        Returns:
            [1, 3, h, w], float, -1 to 1. The frame is not modified.

        Source:
            Porter and Duff, "Compositing Digital Images", SIGGRAPH 1984, operator "over".
        """
        return torch.lerp(self._still, frame[:, :, *self._inside], self._share)
