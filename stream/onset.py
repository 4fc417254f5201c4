"""When the caller's voice begins, to the sample: what a latency measurement counts from. Pure."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.system import SAMPLE_RATE_HZ

LOUD: Final = 0.02
"""Amplitude (full scale 1, -34 dB) that is a beginning, unless the room is loud."""
OVER_ROOM: Final = 6.0
QUIET_SAMPLES: Final = SAMPLE_RATE_HZ * 3 // 10
ROOM_START: Final = 1e-5
ROOM_RISE: Final = 2.0  # times in power per second: 3 dB; it falls in a tenth of a second


class OnsetDetector:
    """Finds the first loud sample after at least 300 ms without one."""

    def __init__(self) -> None:
        self._heard = 0
        self._quiet_since = 0
        self._room_power = ROOM_START

    def push(self, samples: NDArray[np.float32]) -> list[float]:
        """Hear the next samples, [n], 16 kHz; returns the media times (ms) of the onsets among them."""
        if not samples.size:
            return []
        threshold = max(LOUD, OVER_ROOM * self._room_power**0.5)
        (loud,) = (np.abs(samples) >= threshold).nonzero()
        onsets: list[float] = []
        if loud.size:
            places = self._heard + loud
            gaps = np.diff(places, prepend=self._quiet_since)
            onsets = [float(place) * 1000.0 / SAMPLE_RATE_HZ for place in places[gaps >= QUIET_SAMPLES]]
            self._quiet_since = int(places[-1])
        self._follow_room(float(samples @ samples) / samples.size, samples.size / SAMPLE_RATE_HZ)
        self._heard += samples.size
        return onsets

    def _follow_room(self, power: float, seconds: float) -> None:
        if power < self._room_power:
            self._room_power += min(1.0, 10.0 * seconds) * (power - self._room_power)
        else:
            self._room_power = min(power, max(self._room_power, 1e-9) * ROOM_RISE**seconds)
