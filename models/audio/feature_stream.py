"""From one stream's sound to what a system hears of each frame."""

from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from models.audio.front_end import FrontEnd

SPARE_ROWS: Final = 64  # more than the longest look-ahead, so that it can be shortened at any time


class RowSource(Protocol):
    """The front end of one stream."""

    @property
    def bands(self) -> int:
        """Values in a row."""
        ...

    @property
    def frame_rows(self) -> int:
        """Rows that a system gets for one frame."""
        ...

    @property
    def before(self) -> float:
        """Every value of a row that lies before the stream."""
        ...

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples, [n], and return the rows that they complete, [rows, bands], float32."""
        ...

    def rows_of_frame(self, frame: int, lookahead_ms: int) -> NDArray[np.int64]:
        """Numbers of a frame's rows, [frame_rows], complete once `40 * frame + lookahead_ms` was heard."""
        ...


class SingleStream:
    """A `FrontEnd` with the memory of one stream: a `RowSource`."""

    def __init__(self, front_end: FrontEnd) -> None:
        self.bands = front_end.plan.bands
        self.frame_rows = front_end.plan.frame_rows
        self.before = front_end.plan.before
        self.rows_of_frame = front_end.plan.rows_of_frame
        self._front_end = front_end
        self._state = front_end.init_state(1)

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        sound = torch.tensor(samples, dtype=torch.float32)[None]
        return self._front_end.step(sound, self._state).values[0].numpy()


class FeatureStream:
    """Keeps the newest rows of a stream and hands each frame its window."""

    def __init__(self, source: RowSource) -> None:
        self._source = source
        self._rows = np.zeros((0, source.bands), np.float32)
        self._given = 0  # rows since the stream began

    def push(self, samples: NDArray[np.float32]) -> None:
        """Hear the next samples, [n], 16 kHz, -1 to 1."""
        fresh = self._source.push(samples)
        self._rows = np.concatenate([self._rows, fresh])[-(self._source.frame_rows + SPARE_ROWS) :]
        self._given += len(fresh)

    def frame(self, number: int, lookahead_ms: int) -> NDArray[np.float32]:
        """`AudioFeatures.values` of one stream and frame, [frame_rows, bands].

        The sound up to `40 * number + lookahead_ms` must have been heard, and not much more than the longest
        look-ahead beyond it: older rows are forgotten.
        """
        numbers = self._source.rows_of_frame(number, lookahead_ms)
        known = numbers >= 0
        places = numbers[known] - (self._given - len(self._rows))
        assert not places.size or 0 <= places[0] <= places[-1] < len(self._rows), "a frame too early or too late"
        window = np.full((len(numbers), self._source.bands), self._source.before, np.float32)
        window[known] = self._rows[places]
        return window
