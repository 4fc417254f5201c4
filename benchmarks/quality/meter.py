"""What a drawn face does, seen from outside: mesh points on its pictures, and the rig fitted to them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.quality.head_pose import RigidHead
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES, fit, gaze_deg
from models.visavis.ict import Rig
from models.visavis.landmarks import (
    EYE_GAPS,
    LEFT_EYELIDS,
    LIP_GAPS,
    RIGHT_EYELIDS,
    LandmarkNet,
    Placement,
    align,
    load_net,
    locate_twice,
)
from models.visavis.parts import load_parts, look_closer

Picture = NDArray[np.uint8]

CHIN: Final = 152
FOREHEAD: Final = 10
READS: Final = {
    "angles_deg": np.array([1.10, 0.76, 1.0]),
    "gaze_deg": np.array([0.68, 0.31]),
    "lids_closed": 0.65,
}
"""How much of a known turn, gaze and blink the landmark nets read: medians over 40 held-out portraits that the rig drew
anew, by `benchmarks.quality.calibrate`. Half of the persons lie within 0.06 (yaw), 0.07 (pitch), 0.15 (gaze aside),
0.04 (up and down) and 0.2 (blink) of them: one face is read no surer. Of the exact points 1.0 of turns and 0.94 of
gazes are read, so the nets lack it, not the meter's geometry."""
_FIRST_LOOK: Final = 0.7  # of the frame's side: where a face fills a frame as a portrait does
_CORNERS: Final = ((RIGHT_EYELIDS[0], RIGHT_EYELIDS[8]), (LEFT_EYELIDS[0], LEFT_EYELIDS[8]))


@dataclass(frozen=True)
class Seen:
    """What was seen on N pictures; in `FaceMeter.rest` and of `FaceMeter.read` not yet corrected by `READS`.

    Attributes:
        angles_deg: Head yaw, pitch, roll relative to the face at rest, [N, 3].
        gaze_deg: Gaze yaw and pitch relative to the head and to rest, mean of both eyes, [N, 2].
        lids_closed: How far the lids have come from rest (0) to each other (1), mean of both eyes, [N].
        lip_gap: Mean distance of the inner lips, as a share of the face's height at rest, [N].
        points_px: Mesh points, [N, 478, 2].
    """

    angles_deg: NDArray[np.float64]
    gaze_deg: NDArray[np.float64]
    lids_closed: NDArray[np.float64]
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
        self._place = align(self._net.mean_shape.double().numpy(), locate_twice(self._net, rest, middle)[1])
        points = self.points(rest)
        self._height_px = float(np.linalg.norm(points[CHIN] - points[FOREHEAD]))
        self._eyes_open = float(_eyes_open(points))
        marks = torch.from_numpy(points).float()
        person = fit(self._rig, marks[list(MEDIAPIPE_68)], marks[list(MEDIAPIPE_IRISES)])
        self._head = RigidHead(self._rig, person, marks)
        self._rest = self._stances(points[None])
        self.rest = self.read(points[None])
        """The face at rest as it sees it."""

    def look(self, pictures: Sequence[Picture]) -> Seen:
        """Find the face's points on pictures of the same face in the same frame, and measure them, by `READS`."""
        seen = self.read(np.stack([self.points(picture) for picture in pictures]))
        return replace(
            seen,
            angles_deg=seen.angles_deg / READS["angles_deg"],
            gaze_deg=seen.gaze_deg / READS["gaze_deg"],
            lids_closed=seen.lids_closed / READS["lids_closed"],
        )

    def read(self, points_px: NDArray[np.float64]) -> Seen:
        """What mesh points [N, 478, 2] of this face say, as they stand."""
        angles, gaze = (now - rest for now, rest in zip(self._stances(points_px), self._rest, strict=True))
        upper, lower = np.array(LIP_GAPS).T
        return Seen(
            angles,
            gaze,
            1.0 - _eyes_open(points_px) / self._eyes_open,
            np.linalg.norm(points_px[:, upper] - points_px[:, lower], axis=2).mean(axis=1) / self._height_px,
            points_px,
        )

    def _stances(self, points_px: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The head's angles [N, 3] and the eyes' mean gaze relative to the head [N, 2], degrees."""
        points = torch.from_numpy(points_px).float()
        held = self._head.follow(points)
        irises = points[:, list(MEDIAPIPE_IRISES)]
        gaze = [gaze_deg(self._rig, head, iris).mean(0) for head, iris in zip(held, irises, strict=True)]
        angles = torch.stack([head.angles_deg for head in held])
        return angles.double().numpy(), torch.stack(gaze).double().numpy()

    def points(self, picture: Picture) -> NDArray[np.float64]:
        """The face's mesh points on a picture, px, [478, 2]."""
        return look_closer(self._net, load_parts(), picture, locate_twice(self._net, picture, self._place)[1])


def _eyes_open(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean distance of the lids over the mean width of the eyes, [..., 478, 2] to [...]."""
    (upper, lower), (outer, inner) = np.array(EYE_GAPS).T, np.array(_CORNERS).T
    gap = np.linalg.norm(points[..., upper, :] - points[..., lower, :], axis=-1).mean(axis=-1)
    return gap / np.linalg.norm(points[..., outer, :] - points[..., inner, :], axis=-1).mean(axis=-1)
