"""Do the upper teeth stay where the skull has them while the jaw opens?"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.controls import Puppet
from benchmarks.quality.meter import FaceMeter, Picture
from benchmarks.quality.similarity import luma

JAWS: Final = (0.30, 0.34, 0.38, 0.42, 0.46, 0.50)
_SHOWN: Final = {"mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4}
_CORNERS: Final = (78, 308)
_UPPER_LIP, _LOWER_LIP = 13, 14
_WIDE: Final = 0.25  # of the mouth's width to either side of its middle
_DEEP: Final = (0.1, 0.7)  # of the least opening, from the upper lip down
_LEAST_DETAIL: Final = 2.0  # levels a pixel: in a flatter patch nobody sees teeth, let alone swim


def measure_swim(puppet: Puppet, meter: FaceMeter) -> float | None:
    """How far the upper teeth drift from picture to picture as the jaw opens by 4 %, in % of the mouth's width.

    Nothing else moves, so they should stay. None where no teeth are seen.
    """
    pictures = [puppet.pose(jawOpen=jaw, **_SHOWN) for jaw in JAWS]
    points = meter.look(pictures[:1]).points_px[0]
    right, left = points[list(_CORNERS)]
    wide = float(np.linalg.norm(left - right))
    low, high = points[_UPPER_LIP], points[_LOWER_LIP]
    x0, x1 = (round(float(low[0] + side * _WIDE * wide)) for side in (-1, 1))
    y0, y1 = (round(float(low[1] + share * (high[1] - low[1]))) for share in _DEEP)
    moved = drift_px(pictures, (x0, y0, x1, max(y1, y0 + 4)))
    return None if moved is None else round(100 * moved / wide, 2)


def drift_px(pictures: Sequence[Picture], box: tuple[int, int, int, int]) -> float | None:
    """Mean distance that the content of a box (x0, y0, x1, y1) moves between neighbouring pictures, below about 2 px.

    One step of least squares on the gradients (Lucas and Kanade, "An iterative image registration technique with an
    application to stereo vision", IJCAI 1981, section 4.2), brightness aside. None where the box has too little detail.
    """
    x0, y0, x1, y1 = box
    patches = [luma(picture[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1]) for picture in pictures]
    if min(_detail(patch) for patch in patches) < _LEAST_DETAIL:
        return None
    return float(np.mean([_shift(one, two) for one, two in pairwise(patches)]))


def _detail(patch: NDArray[np.float64]) -> float:
    """Root mean square of the gradient, levels a pixel."""
    return float(np.sqrt(np.mean([np.square(slope).mean() for slope in _slopes(patch)])))


def _slopes(patch: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Down and to the right, levels a pixel."""
    return np.gradient(patch, axis=0), np.gradient(patch, axis=1)


def _shift(one: NDArray[np.float64], two: NDArray[np.float64]) -> float:
    rows, columns = _slopes((one + two) / 2)
    inside = (slice(1, -1), slice(1, -1))
    causes = [columns, rows, one, np.ones_like(one)]  # a shift, more contrast, more light
    system = np.stack([cause[inside].ravel() for cause in causes], axis=1)
    fitted, *_ = np.linalg.lstsq(system, (two - one)[inside].ravel(), rcond=1e-3)
    return float(np.hypot(fitted[0], fitted[1]))
