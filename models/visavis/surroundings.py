"""The photo around the frame, cut so that its pixels coincide with the frame's."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.canvas import Canvas
from models.visavis.fit import Box, resample

MAX_SIDE_PX: Final = 1280
"""A larger canvas is cut around the head: scaled down, the face would lose what the frame was drawn with."""


def surroundings(photo: NDArray[np.uint8], box: Box, frame_px: int) -> Canvas:
    """Everything that the photo shows around the frame, as far as `MAX_SIDE_PX` goes.

    Args:
        photo: RGB, [H, W, 3], uint8.
        box: The frame in it (x0, y0, x1, y1), photo px; reaches into the photo.
        frame_px: Side of the frame in its own pixels, even.
    """
    scale = (box[2] - box[0]) / frame_px  # photo px per canvas px
    height, width = photo.shape[:2]
    left, right = _span(-box[0] / scale, (width - box[0]) / scale, frame_px)
    top, bottom = _span(-box[1] / scale, (height - box[1]) / scale, frame_px)
    around = (box[0] + left * scale, box[1] + top * scale, box[0] + right * scale, box[1] + bottom * scale)
    picture = resample(photo, around, (right - left, bottom - top))
    return Canvas(torch.from_numpy(picture.copy()).permute(2, 0, 1).contiguous(), (-left, -top), around)


def _span(low: float, high: float, frame_px: int) -> tuple[int, int]:
    """Even ends between `low` and `high`, frame px, at most `MAX_SIDE_PX` apart and then around the frame's middle."""
    first, last = 2 * int(np.ceil(low / 2)), 2 * int(np.floor(high / 2))
    if last - first <= MAX_SIDE_PX:
        return first, last
    middle = 2 * (frame_px // 4)
    first = min(max(middle - MAX_SIDE_PX // 2, first), last - MAX_SIDE_PX)
    return first, first + MAX_SIDE_PX
