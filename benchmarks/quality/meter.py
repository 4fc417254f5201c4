"""What a drawn face does, seen from outside: mesh points on its pictures, and the rig fitted to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES, fit, track
from models.visavis.ict import Rig
from models.visavis.landmarks import (
    LIP_GAPS,
    LandmarkNet,
    Placement,
    align,
    load_net,
    locate,
    locate_twice,
)

Picture = NDArray[np.uint8]

CHIN: Final = 152
FOREHEAD: Final = 10
_UPPER, _LOWER = (list(lip) for lip in zip(*LIP_GAPS, strict=True))
_FIRST_LOOK: Final = 0.7  # of the frame's side: where a face fills a frame as a portrait does


@dataclass(frozen=True)
class Seen:
    """What was seen on N pictures.

    Attributes:
        angles_deg: Head yaw, pitch, roll relative to the face at rest, [N, 3].
        lip_gap: Mean distance of the inner lips, as a share of the face's height at rest, [N].
        points_px: Mesh points, [N, 478, 2].
    """

    angles_deg: NDArray[np.float64]
    lip_gap: NDArray[np.float64]
    points_px: NDArray[np.float64]


class FaceMeter:
    """Measures pictures of one face with our own landmark net and rig: it shares their faults, not the renderer's."""

    def __init__(self, rest: Picture) -> None:
        """Get to know the face.

        Args:
            rest: The face at rest, RGB, [S, S, 3], uint8, as a portrait: upright and filling most of the frame.
        """
        self._net: LandmarkNet = load_net()
        self._rig = Rig.load()
        side = rest.shape[0]
        middle = Placement.upright(side / 2, side / 2, _FIRST_LOOK * side)
        _, points = locate_twice(self._net, rest, middle)
        self._place = align(self._net.mean_shape.double().numpy(), points)
        self._height_px = float(np.linalg.norm(points[CHIN] - points[FOREHEAD]))
        self._person = fit(self._rig, *_marks(points[None], one=True))
        rested = track(self._rig, self._person, *_marks(points[None]))[0]
        self._rest_deg = rested.angles_deg.double().numpy()

    def look(self, pictures: Sequence[Picture]) -> Seen:
        """Measure pictures of the same face in the same frame."""
        points = np.stack([self._points(picture) for picture in pictures])
        tracked = track(self._rig, self._person, *_marks(points))
        return Seen(
            np.stack([shape.angles_deg.double().numpy() for shape in tracked]) - self._rest_deg,
            np.linalg.norm(points[:, _UPPER] - points[:, _LOWER], axis=2).mean(axis=1) / self._height_px,
            points,
        )

    def _points(self, picture: Picture) -> NDArray[np.float64]:
        first = locate(self._net, picture, self._place)
        return locate(self._net, picture, align(self._net.mean_shape.double().numpy(), first))


def _marks(points_px: NDArray[np.float64], *, one: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """The 68 points and the irises for `fit` (of `one` picture) or `track`."""
    points = torch.from_numpy(points_px).float()
    points = points[0] if one else points
    return points[..., list(MEDIAPIPE_68), :], points[..., list(MEDIAPIPE_IRISES), :]
