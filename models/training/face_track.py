"""One face through the pictures of a video: its mesh points in each, or the reason why they cannot be had."""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from models.visavis.enrol import Face, is_rival, look_for_faces
from models.visavis.landmarks import align, load_net, locate
from models.visavis.parts import load_parts, look_closer
from models.visavis.photo_checks import eye_distance_px, yaw_deg

Fault = Literal[
    "unreadable", "no sound", "silent", "short", "gaps", "no face", "several faces", "another scene", "small", "turned"
]
"""Why a video, or a piece of one, is left out."""

PROBE_FRAMES: Final = 25
MIN_EYES_PX: Final = 24.0
MAX_YAW_DEG: Final = 35.0
_LOST: Final = 0.3  # sides of the face's crop between where it is followed to and where it is found
_JUMP: Final = 0.5  # distances of the eyes from one picture to the next


class RejectedError(Exception):
    """A video, or a piece of one, cannot be used."""

    def __init__(self, fault: Fault) -> None:
        self.fault: Fault = fault

    def __str__(self) -> str:
        return self.fault


def follow_face(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Follow the one face.

    The detector looks at every 25th picture and at the last. From one picture to the next the landmark net follows by
    itself, and must arrive where the detector finds the face.

    Args:
        pictures: RGB, [T, H, W, 3].

    Returns:
        Mesh points, [T, 478, 2], px.

    Raises:
        RejectedError: no face, several faces, another scene, small or turned.
    """
    net, parts = load_net(), load_parts()
    mean, last = net.mean_shape.double().numpy(), len(pictures) - 1
    followed = [_only_face(pictures[0]).points_px]
    for number, picture in enumerate(pictures):
        if number:
            followed.append(locate(net, picture, align(mean, followed[-1])))
            if _moved_px(followed[-2], followed[-1]) > _JUMP * eye_distance_px(followed[-2]):
                raise RejectedError("another scene")
        if number and (number % PROBE_FRAMES == 0 or number == last):
            found = _only_face(picture)
            if _moved_px(found.points_px, followed[-1]) > _LOST * found.place.side_px:
                raise RejectedError("another scene")
    points_px = np.stack([look_closer(net, parts, *seen) for seen in zip(pictures, followed, strict=True)])
    _check(points_px)
    return points_px


def _only_face(picture: NDArray[np.uint8]) -> Face:
    faces = look_for_faces(picture)
    if not faces:
        raise RejectedError("no face")
    if any(is_rival(faces[0], other) for other in faces[1:]):
        raise RejectedError("several faces")
    return faces[0]


def _moved_px(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(before.mean(0) - after.mean(0)))


def _check(points_px: NDArray[np.float64]) -> None:
    if np.median([eye_distance_px(points) for points in points_px]) < MIN_EYES_PX:
        raise RejectedError("small")
    if max(abs(yaw_deg(points)) for points in points_px) > MAX_YAW_DEG:
        raise RejectedError("turned")
