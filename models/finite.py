"""Nonsense from a network: numbers that are none. They are found, replaced and counted, and do not spread."""

from torch import Tensor


def broken(rows: Tensor) -> Tensor:
    """Which rows of [B, ...] hold a value that is not finite, [B], bool, on the CPU."""
    return ~rows.flatten(1).sum(1).isfinite().cpu()


class LastGood:
    """One stream's newest whole frame, shown in place of a broken one.

    Attributes:
        replaced: How many frames were broken.
    """

    def __init__(self) -> None:
        self.replaced = 0
        self._frame: Tensor | None = None

    def instead_of(self, frame: Tensor) -> Tensor | None:
        """The frame [1, 3, S, S] itself, or the last whole one if it is broken; None where there is none yet."""
        if broken(frame).any():
            self.replaced += 1
        else:
            self._frame = frame
        return self._frame
