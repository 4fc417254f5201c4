"""Is it still the person in the photo, and as sharp?"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.quality.meter import FaceMeter, Picture
from models.visavis.enrol import find_face
from models.visavis.fit import MEDIAPIPE_68
from models.visavis.landmarks import OUTER_LIPS

CHIP_PX: Final = 150
_LUMA: Final = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class LikenessReport:
    """How near the drawn face is to the photo.

    Attributes:
        mouth_sharpness: Standard deviation of the Laplacian around the mouth at rest, as a share of the photo's.
        distance: Mean distance of dlib's face descriptors between the photo and the given pictures, None without a
            recogniser. By its authors, below 0.6 is the same person.
    """

    mouth_sharpness: float
    distance: float | None


def measure_likeness(
    photo: Picture, rest: Picture, moved: Sequence[Picture], recogniser: Path | None
) -> LikenessReport:
    """Compare.

    Args:
        photo: What was enrolled, RGB, [H, W, 3], uint8.
        rest: The face at rest, [S, S, 3], uint8.
        moved: The face speaking and turned.
        recogniser: dlib's `dlib_face_recognition_resnet_model_v1.dat`.
    """
    in_photo, seen = find_face(photo), FaceMeter(rest).look([rest, *moved])
    sharpness = _sharpness(rest, seen.points_px[0]) / _sharpness(*_carried(photo, in_photo, seen.points_px[0], rest))
    distance = None
    if recogniser is not None:
        describe = _Describer(recogniser)
        own = describe(photo, in_photo)
        away = [
            np.linalg.norm(describe(picture, points) - own)
            for picture, points in zip(moved, seen.points_px[1:], strict=True)
        ]
        distance = round(float(np.mean(away)), 3)
    return LikenessReport(round(float(sharpness), 3), distance)


class _Describer:
    def __init__(self, recogniser: Path) -> None:
        self._dlib: Any = import_module("dlib")  # its stubs leave the recogniser out
        self._net: Any = self._dlib.face_recognition_model_v1(str(recogniser))

    def __call__(self, picture: Picture, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        marks = points_px[list(MEDIAPIPE_68)]
        low, high = marks.min(axis=0).astype(int), marks.max(axis=0).astype(int)
        box = self._dlib.rectangle(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        points = [self._dlib.point(round(x), round(y)) for x, y in marks.tolist()]
        chip = self._dlib.get_face_chip(
            np.ascontiguousarray(picture), self._dlib.full_object_detection(box, points), CHIP_PX
        )
        return np.array(self._net.compute_face_descriptor(chip))


def _carried(
    photo: Picture, photo_points: NDArray[np.float64], points: NDArray[np.float64], like: Picture
) -> tuple[Picture, NDArray[np.float64]]:
    """The photo turned, scaled and cut so that its points lie on `points` as well as they can, and those points."""
    source, target = photo_points @ (1, 1j), points @ (1, 1j)
    middle_from, middle_to = source.mean(), target.mean()
    turn = np.vdot(target - middle_to, source - middle_from) / np.vdot(target - middle_to, target - middle_to)
    shift = middle_from - turn * middle_to
    matrix = (turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag)
    side = like.shape[0]
    scale = max(1, round(abs(turn)))
    image = Image.fromarray(photo).reduce(scale) if scale > 1 else Image.fromarray(photo)
    small = tuple(value / scale for value in matrix)
    cut = image.transform((side, side), Image.Transform.AFFINE, small, Image.Resampling.BICUBIC)
    back = (source - shift) / turn
    return np.asarray(cut), np.stack([back.real, back.imag], axis=1)


def _sharpness(picture: Picture, points_px: NDArray[np.float64]) -> float:
    luma = picture.astype(np.float64) @ _LUMA
    edges = 4 * luma[1:-1, 1:-1] - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]
    low = np.floor(points_px[list(OUTER_LIPS)].min(axis=0)).astype(int) - 1
    high = np.ceil(points_px[list(OUTER_LIPS)].max(axis=0)).astype(int)
    return float(edges[low[1] : high[1], low[0] : high[0]].std())
