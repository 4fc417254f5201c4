"""The face model's coefficients off a picture, by the house model's rig: ours, where the published ones cannot ship.

The published system reads them by a ResNet-50 in the basis of BFM. Weights that were trained on one of the two readers
know nothing of the other's coefficients.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.tavce.config import COEFFICIENTS, EXPRESSION
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES, fit, mark_offset_cm, track
from models.visavis.ict import Rig, Shape
from models.visavis.landmarks import Placement, load_net, locate_twice
from models.visavis.parts import load_parts, look_closer

FACE_PER_EYES: Final = 4.4
"""Side of TAVCE's crop over the distance of the irises: ours, in place of the published detector's box and margin."""
_SIGNS: Final = torch.tensor([-1.0, 1.0, -1.0]) * (torch.pi / 180)
"""The rig's pitch, yaw and roll, degrees, to the face model's radians."""
_CLOSED_SHARE: Final = 4  # of a clip's pictures the most closed quarter of the mouths counts as rest


def face_square(points_px: NDArray[np.float64]) -> Placement:
    """TAVCE's crop of a picture, or of a whole clip: a fixed upright square.

    Args:
        points_px: Mesh points of its pictures, [T, 478, 2].
    """
    x_px, y_px = ((points_px.min(1) + points_px.max(1)) / 2).mean(0)
    eyes_px = np.median(np.linalg.norm(points_px[:, 473] - points_px[:, 468], axis=1))
    return Placement.upright(float(x_px), float(y_px), float(eyes_px) * FACE_PER_EYES)


def read_coefficients(face: Tensor) -> Tensor:
    """A `CoefficientReader`: a face in TAVCE's crop, [1, 3, S, S], 0 to 1, to its coefficients, [1, 70]."""
    picture = (255 * face[0]).round().byte().permute(1, 2, 0).numpy()
    side = len(picture)
    net = load_net()
    eyes = float((net.mean_shape[473] - net.mean_shape[468]).norm())  # in sides of the crop that the net is given
    _, points = locate_twice(net, picture, Placement.upright(side / 2, side / 2, side / (FACE_PER_EYES * eyes)))
    points = torch.from_numpy(look_closer(net, load_parts(), picture, points)).float()
    shape = fit(Rig.load(), points[list(MEDIAPIPE_68)], points[list(MEDIAPIPE_IRISES)])
    return _coefficients([shape], Placement.upright(side / 2, side / 2, side))


def clip_coefficients(points_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """Coefficients of one person's pictures, [T, 478, 2] to [T, 70]; one identity is fitted to all of them."""
    rig, points = Rig.load(), torch.from_numpy(points_px).float()
    marks, irises = points[:, list(MEDIAPIPE_68)], points[:, list(MEDIAPIPE_IRISES)]
    opening = (marks[:, 66] - marks[:, 62]).norm(dim=1) / (marks[:, 54] - marks[:, 48]).norm(dim=1)
    closed = opening.argsort()[: max(1, len(marks) // _CLOSED_SHARE)]
    person = fit(rig, marks[closed].median(0).values, irises[closed].median(0).values)
    shapes = track(rig, person, marks, irises, mark_offset_cm(rig, person, marks[closed]))
    return _coefficients(shapes, face_square(points_px)).numpy()


def _coefficients(shapes: list[Shape], square: Placement) -> Tensor:
    """Blendshapes, zeros up to 64; pitch, yaw, roll in radians; where the neck lies and how large all is, [T, 70].

    The last three are in sides of TAVCE's crop: x, y of the neck's base from the middle, and cm.
    """
    out = torch.zeros(len(shapes), COEFFICIENTS)
    for row, shape in zip(out, shapes, strict=True):
        row[: len(shape.expression)] = shape.expression
        row[EXPRESSION : EXPRESSION + 3] = shape.angles_deg[[1, 0, 2]] * _SIGNS
        neck = square.to_crop(shape.centre_px.double().numpy()) - 0.5
        row[EXPRESSION + 3 : EXPRESSION + 5] = torch.from_numpy(neck).float()
        row[EXPRESSION + 5] = 10 * shape.scale_px_per_cm / square.side_px
    return out
