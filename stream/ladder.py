"""What gives way when there is not enough time for all: a ladder, from full quality downwards. Pure."""

from collections.abc import Callable
from typing import Final, Literal

Rung = Literal["full", "no_wait", "half", "still", "away"]
"""`full`: everything. `no_wait`: no frame waits for others to join its batch. `half`: 12.5 pictures a second, each sent
twice. `still`: the person at rest. `away`: no step of the ladder, but the last picture while the engine is gone."""

DRAWN: Final[dict[Rung, float]] = {"full": 1.0, "no_wait": 1.0, "half": 0.5, "still": 0.0, "away": 0.0}
"""Share of the frames that are drawn on a rung."""
TOLD: Final[dict[Rung, str]] = {
    "full": "the picture is back at its best",
    "no_wait": "the server is busy: it draws each frame at once",
    "half": "the server is busy: 12.5 pictures a second",
    "still": "the server is too busy to draw: a still picture until it has time",
    "away": "the engine has stopped and is started anew: a still picture until it is back",
}
WINDOW_S: Final = 2.0
FEWEST_DUE: Final = 20
MISSED: Final = 0.3
"""Below 17.5 pictures a second, missing some at random looks worse than 12.5 in step."""
CALM: Final = 0.8
"""Up again once the frames of the next rung would take no more than this share of the time."""
STAY_S: Final = 5.0


class Ladder:
    """Goes a rung down when frames are missed, and up again when there is time.

    Attributes:
        rung: Where it stands.
    """

    def __init__(self, now_s: float, *, batches: bool) -> None:
        """Begin at the top. `batches`: frames wait for each other, so that not to wait is a rung."""
        self.rung: Rung = "full"
        self._rungs: tuple[Rung, ...] = ("full", "no_wait", "half", "still") if batches else ("full", "half", "still")
        self._due = self._missed = 0
        self._window_s = self._changed_s = now_s

    def note(self, *, missed: bool) -> None:
        """A frame that should have been drawn was, or was not."""
        self._due += 1
        self._missed += missed

    def tick(self, now_s: float, load: Callable[[float], float]) -> None:
        """Look whether to change. `load`: share of the time that so large a share of drawn frames would take."""
        if now_s < self._window_s + WINDOW_S:
            return
        place = self._rungs.index(self.rung)
        pressed = self._due >= FEWEST_DUE and self._missed > MISSED * self._due
        if pressed and place + 1 < len(self._rungs):
            self._go(place + 1, now_s)
        elif not pressed and place and now_s >= self._changed_s + STAY_S:
            above = self._rungs[place - 1]
            if load(DRAWN[above]) <= CALM:
                self._go(place - 1, now_s)
        self._due = self._missed = 0
        self._window_s = now_s

    def _go(self, place: int, now_s: float) -> None:
        self.rung = self._rungs[place]
        self._changed_s = now_s
