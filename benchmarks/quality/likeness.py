"""Is it still the person in the photo, and as sharp?"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.meter import FaceMeter, Picture
from benchmarks.quality.similarity import luma
from models.visavis.enrol import find_face
from models.visavis.fit import MEDIAPIPE_68, crop
from models.visavis.landmarks import OUTER_LIPS, align

CHIP_PX: Final = 150


@dataclass(frozen=True)
class LikenessReport:
    """How near the drawn face is to the photo.

    Attributes:
        mouth_sharpness: Standard deviation of the Laplacian around the mouth at rest, as a share of the photo's at the
            frame's size.
        distance: Mean distance of dlib's face descriptors between the photo and the given pictures, None without a
            recogniser. By its authors, below 0.6 is the same person.
    """

    mouth_sharpness: float
    distance: float | None


@dataclass(frozen=True)
class PhotoView:
    """A photo, RGB, [H, W, 3], uint8, and the points of its face, [478, 2] px."""

    photo: Picture
    points_px: NDArray[np.float64]

    @classmethod
    def of(cls, photo: Picture) -> "PhotoView":
        """Find the face.

        Raises:
            PhotoError: If there is none that can be used.
        """
        return cls(photo, find_face(photo))

    def framed(self, points_px: NDArray[np.float64], side: int) -> tuple[Picture, NDArray[np.float64]]:
        """The photo as a frame [side, side, 3], its points as near to `points_px` as they can be unturned; the points.

        Resampled as enrolment does it, so that no sharpness is lost.
        """
        place = align(points_px / side, self.points_px)
        middle, half = place.corner + place.turn * (0.5 + 0.5j), place.side_px / 2
        box = (middle.real - half, middle.imag - half, middle.real + half, middle.imag + half)
        return crop(self.photo, box, side), (self.points_px - box[:2]) * (side / place.side_px)


def measure_likeness(
    view: PhotoView, rest: Picture, moved: Sequence[Picture], meter: FaceMeter, recogniser: Path | None
) -> LikenessReport:
    """Compare.

    Args:
        view: What was enrolled.
        rest: The face at rest, RGB, [S, S, 3], uint8.
        moved: The face speaking and turned.
        meter: One that knows the face at rest.
        recogniser: dlib's `dlib_face_recognition_resnet_model_v1.dat`.
    """
    at_rest = meter.rest.points_px[0]
    sharpness = _sharpness(rest, at_rest) / _sharpness(*view.framed(at_rest, rest.shape[0]))
    distance = None
    if recogniser is not None:
        describe = Describer(recogniser)
        own = describe(view.photo, view.points_px)
        seen = zip(moved, meter.look(moved).points_px, strict=True)
        distance = round(float(np.mean([np.linalg.norm(describe(*picture) - own) for picture in seen])), 3)
    return LikenessReport(round(float(sharpness), 3), distance)


class Describer:
    """Dlib's face recognition: a face to 128 numbers, the nearer the liker."""

    def __init__(self, recogniser: Path) -> None:
        """`recogniser` is dlib's `dlib_face_recognition_resnet_model_v1.dat`."""
        self._dlib: Any = import_module("dlib")  # its stubs leave the recogniser out
        self._net: Any = self._dlib.face_recognition_model_v1(str(recogniser))

    def __call__(self, picture: Picture, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """The numbers [128] of the face at mesh points [478, 2] of a picture."""
        marks = points_px[list(MEDIAPIPE_68)]
        low, high = marks.min(axis=0).astype(int), marks.max(axis=0).astype(int)
        box = self._dlib.rectangle(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        points = [self._dlib.point(round(x), round(y)) for x, y in marks.tolist()]
        chip = self._dlib.get_face_chip(
            np.ascontiguousarray(picture), self._dlib.full_object_detection(box, points), CHIP_PX
        )
        return np.array(self._net.compute_face_descriptor(chip))


def _sharpness(picture: Picture, points_px: NDArray[np.float64]) -> float:
    grey = luma(picture)
    edges = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    low = np.floor(points_px[list(OUTER_LIPS)].min(axis=0)).astype(int) - 1
    high = np.ceil(points_px[list(OUTER_LIPS)].max(axis=0)).astype(int)
    return float(edges[low[1] : high[1], low[0] : high[0]].std())
