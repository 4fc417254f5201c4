"""What is heard where a packet is missing: the last pitch period again, fading out within 60 ms. Pure.

Only the face hears this: the returned voice is made of the caller's own packets and concealed by the browser.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 16_000
MEMORY_SAMPLES: Final = 640
SHORTEST_SAMPLES: Final = 40  # 400 Hz
LONGEST_SAMPLES: Final = 266  # 60 Hz
FADE_SAMPLES: Final = 960
JOIN_SAMPLES: Final = 64


class Concealer:
    """Remembers the last 40 ms of 16 kHz sound and goes on from it where nothing came."""

    def __init__(self) -> None:
        self._memory = np.zeros(MEMORY_SAMPLES, np.float32)
        self._period: NDArray[np.float32] | None = None
        self._made = 0  # samples since the gap began

    def hear(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Real sound [n], 16 kHz; after a gap its first 4 ms fade in over what the gap would have gone on with."""
        if self._made and samples.size:
            join = min(JOIN_SAMPLES, samples.size)
            ramp = (np.arange(join, dtype=np.float32) + 1) / (join + 1)
            samples = samples.copy()
            samples[:join] = ramp * samples[:join] + (1 - ramp) * self._go_on(join)
        self._period, self._made = None, 0
        self._memory = np.concatenate([self._memory, samples])[-MEMORY_SAMPLES:]
        return samples

    def fill(self, count: int) -> NDArray[np.float32]:
        """`count` samples for a gap: digital silence once 60 ms of it were made."""
        made = self._go_on(count)
        self._memory = np.concatenate([self._memory, made])[-MEMORY_SAMPLES:]
        return made

    def _go_on(self, count: int) -> NDArray[np.float32]:
        if self._period is None:
            self._period = self._memory[-_pitch_samples(self._memory) :].copy()
        index = self._made + np.arange(count)
        gain = np.clip(1.0 - index / FADE_SAMPLES, 0.0, 1.0).astype(np.float32)
        self._made += count
        return self._period[index % self._period.size] * gain


def _pitch_samples(sound: NDArray[np.float32]) -> int:
    """The lag at which the end of `sound` [MEMORY_SAMPLES] is most like itself."""
    span = MEMORY_SAMPLES - LONGEST_SAMPLES
    end = sound[-span:]
    lags = np.lib.stride_tricks.sliding_window_view(sound, span)[: LONGEST_SAMPLES - SHORTEST_SAMPLES + 1]
    likeness = (lags @ end) / np.sqrt(np.maximum((lags * lags).sum(axis=1), 1e-9))
    return LONGEST_SAMPLES - int(np.argmax(likeness))
