"""One stream by itself, from sound to pictures: what `visavis render` runs, and the server for its first pictures."""

import torch
from torch import Tensor

from models.system import IdentityState, System
from stream.due_frame import DueFrame
from stream.hearing import Hearing

__all__ = ["Drive", "DueFrame"]


class Drive(Hearing):
    """A stream's hearing, and a memory of its own to draw with, behind `push` and `draw`.

    Not thread-safe: one thread at a time. However the sound is cut into pushes, the frames are the same.

    Attributes:
        identity: Whose face is drawn; may be set between two calls.
    """

    def __init__(
        self, system: System, identity: IdentityState, *, lookahead_ms: int = 40, idle: bool = True, seed: int = 0
    ) -> None:
        """Start in silence at media time 0. Arguments and errors are those of `Hearing`."""
        super().__init__(system, lookahead_ms=lookahead_ms, idle=idle, seed=seed)
        self.identity = identity
        self._system = system
        self._state = system.init_state(1)

    def draw(self, due: DueFrame) -> Tensor:
        """Draw one frame: [1, 3, frame_px, frame_px], float32, -1 to 1. Each frame at most once, in order."""
        with torch.no_grad():
            return self._system.step([self.identity], due.features, due.controls, self._state)
