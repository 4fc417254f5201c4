"""What a frame costs on this machine, in measured milliseconds, and how many streams that allows. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from models.system import FRAME_MS

BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64)
MOST_STEP_MS: Final = 20.0
"""A batch may take half of a frame's time: the first of its rows waits for the last."""
WORTH: Final = 0.9
"""A larger batch must bring a row's share below this part of what it was."""
ROOM: Final = 0.85
"""Share of the time that may be given away; the rest is for when the machine stands still for a moment."""
TALK: Final = 0.6
"""Share of the frames that are drawn of a caller in conversation: nearly all while they speak, a fifth while not."""
_FOLLOW: Final = 0.05


@dataclass
class Costs:
    """Times of one system on one machine.

    Attributes:
        step_ms: How long it takes to draw a batch, by its number of rows; the sizes that were measured.
        row_ms: What else a frame costs its thread, drawn or not: features, conversion, encoding.
        slowdown: How much longer batches have taken of late than when they were measured, 0.5 to 4.
    """

    step_ms: Mapping[int, float] = field(default_factory=lambda: {1: 0.0})
    row_ms: float = 0.0
    slowdown: float = field(default=1.0, init=False)

    @property
    def rows(self) -> int:
        """How many rows one batch may have: more only where that is measurably cheaper."""
        best = 1
        for size, took_ms in sorted(self.step_ms.items()):
            if took_ms <= MOST_STEP_MS and took_ms / size < WORTH * self.step_ms[best] / best:
                best = size
        return best

    @property
    def draw_ms(self) -> float:
        """What one drawn frame takes of the thread's time, in batches as large as is worthwhile."""
        return self.slowdown * self.step_ms[self.rows] / self.rows

    def note(self, rows: int, took_ms: float) -> None:
        """A batch was drawn."""
        expected_ms = next((ms for size, ms in sorted(self.step_ms.items()) if size >= rows), 0.0)
        if expected_ms > 0.0:
            self.slowdown += _FOLLOW * (took_ms / expected_ms - self.slowdown)
            self.slowdown = min(max(self.slowdown, 0.5), 4.0)

    def load(self, drawn_shares: Sequence[float]) -> float:
        """Share of the thread's time that streams take which draw so many of their frames, each 0 to 1."""
        return sum(share * self.draw_ms + self.row_ms for share in drawn_shares) / FRAME_MS

    def has_room(self, drawn_shares: Sequence[float], elsewhere: float = 0.0) -> bool:
        """Whether one more stream can be drawn in time beside these. The very first always is let in.

        Args:
            drawn_shares: As of `load`.
            elsewhere: Share of the machine's time that other systems' streams take.
        """
        alone = not drawn_shares and elsewhere == 0.0
        return alone or self.load([*drawn_shares, TALK]) + elsewhere <= ROOM

    def sessions(self) -> int:
        """How many callers in conversation can be drawn in time."""
        one = self.load([TALK])
        return max(1, int(ROOM / one)) if one > 0.0 else BATCH_SIZES[-1]
