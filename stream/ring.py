"""The last seconds of the caller's voice at 16 kHz, addressed by absolute sample number."""

import numpy as np
from numpy.typing import NDArray


class AudioRing:
    """Keeps the newest `capacity` samples; reading what it no longer holds, or not yet, gives zeros.

    Attributes:
        end: Samples written so far: the number of the next one.
    """

    def __init__(self, capacity: int) -> None:
        if capacity <= 0:
            raise ValueError(f"capacity must be positive, got {capacity}")
        self._line = np.zeros(capacity, np.float32)
        self.end = 0

    def write(self, samples: NDArray[np.float32]) -> None:
        """Append samples [n], float32."""
        kept = samples[-self._line.size :]
        first = (self.end + samples.size - kept.size) % self._line.size
        head = min(kept.size, self._line.size - first)
        self._line[first : first + head] = kept[:head]
        self._line[: kept.size - head] = kept[head:]
        self.end += samples.size

    def read(self, start: int, end: int) -> NDArray[np.float32]:
        """A copy of the samples from number `start` to before `end`, [end - start]."""
        out = np.zeros(max(0, end - start), np.float32)
        low, high = max(start, self.end - self._line.size, 0), min(end, self.end)
        if low < high:
            out[low - start : high - start] = self._line[np.arange(low, high) % self._line.size]
        return out
