"""The face crop of VoxCeleb2 frames, as PC-AVS cuts it further: eyes and mouth at fixed places."""

from typing import Final

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.blocks.framed import cut_face
from models.canvas import Canvas
from models.framing import Framing
from models.visavis.fit import MEDIAPIPE_68

_CANVAS: Final = np.array([[87.0, 59.0], [137.0, 59.0], [112.0, 120.0]])
"""Middle of the eye on the picture's left, of the other, and of the mouth, in a frame of 224 px: systems.md, 2.1."""
_CORNER: Final = np.array([16.0, 0.0])
_SIDE: Final = 192.0
MOUTH_BOX: Final = (0.5, 0.82, 0.34, 0.66)
"""Top, bottom, left and right of the mouth in the crop, 0 to 1, wide open too."""
_PARTS: Final = (slice(36, 42), slice(42, 48), slice(60, 68))


def cut_vox_face(photo: NDArray[np.uint8], frame_px: int, framing: Framing) -> tuple[Tensor, Canvas | None]:
    """Find the face of a photo [H, W, 3] and cut it so; see `cut_face`.

    Raises:
        PhotoError: If there is none that can be used.
    """
    from models.visavis.enrol import find_face  # dlib: only enrolment needs it

    return cut_face(photo, three_points(find_face(photo)), template(), frame_px, framing)


def three_points(mesh: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middles of both eyes and of the inner mouth, [3, 2], from the 478 mesh points [478, 2]."""
    points = mesh[list(MEDIAPIPE_68)]
    return np.stack([points[part].mean(0) for part in _PARTS])


def template() -> NDArray[np.float64]:
    """Where `three_points` lie in the crop, 0 to 1 from edge to edge, [3, 2]."""
    return (_CANVAS - _CORNER) / _SIDE


def enlarged_mouths(faces: Tensor, size_px: int) -> Tensor:
    """Mouths of faces in this crop, [B, 3, S, S] to [B, 3, size_px, size_px]; gradients flow to the faces."""
    top, bottom, left, right = (round(faces.shape[-1] * edge) for edge in MOUTH_BOX)
    mouths = faces[..., top:bottom, left:right]
    return F.interpolate(mouths, size=(size_px, size_px), mode="bilinear", align_corners=False)
