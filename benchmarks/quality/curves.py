"""Curves over time, one value a frame: how alike two are, and by how much one is late."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.system import FPS

REACH_FRAMES: Final = 8
"""How far off `lag_frames` looks."""
_LEAST_FRAMES: Final = 3 * FPS  # a second or two of speech resembles itself a few frames later


def correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float | None:
    """Pearson's correlation of two curves of one length, -1 to 1; None where one of them is flat."""
    flat = min(np.ptp(one), np.ptp(other)) == 0.0
    return None if flat else float(np.corrcoef(one, other)[0, 1])


def lag_frames(curve: NDArray[np.floating], wanted: NDArray[np.floating]) -> int | None:
    """How many frames a curve is late, -8 to 8: the shift at which it correlates best with the wanted one.

    None where one of them is flat or they are shorter than three seconds.
    """
    frames = len(wanted)
    if frames < _LEAST_FRAMES:
        return None
    middle = wanted[REACH_FRAMES : frames - REACH_FRAMES]
    shifts = range(-REACH_FRAMES, REACH_FRAMES + 1)
    alike = [correlation(curve[REACH_FRAMES + by : frames - REACH_FRAMES + by], middle) for by in shifts]
    known = [value for value in alike if value is not None]
    return shifts[int(np.argmax(known))] if len(known) == len(alike) else None
