"""From sound to a frame, without a clock: what the live stage and `visavis render` both run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.system import AudioFeatures, ControlBatch, IdentityState, System


@dataclass(frozen=True)
class DueFrame:
    """One frame whose sound is complete, ready for `Drive.draw`.

    Attributes:
        frame: Its number; its media time is 40 * frame ms.
        features: For `System.step`, batch of one.
        controls: For `System.step`, batch of one.
    """

    frame: int
    features: AudioFeatures
    controls: ControlBatch

    @property
    def pts_ms(self) -> int:
        return 40 * self.frame


class Drive:
    """One stream's front end, mouth gate, idle life and motion memory, behind one `push`.

    Not thread-safe: one thread at a time. `identity` and `lookahead_ms` may be set between two calls.
    """

    def __init__(
        self, system: System, identity: IdentityState, *, lookahead_ms: int = 40, idle: bool = True, seed: int = 0
    ) -> None:
        """Start in silence at media time 0. `lookahead_ms` snaps to the nearest that the system was trained for."""
        raise NotImplementedError

    def push(self, samples: NDArray[np.float32]) -> list[DueFrame]:
        """Hear the next samples ([n], 16 kHz, -1 to 1) and return the frames that they complete, in order.

        A frame is complete once the sound up to `40 * frame + lookahead_ms` was pushed; push zeros at the end of a
        file to get the last ones.
        """
        raise NotImplementedError

    def draw(self, due: DueFrame) -> Tensor:
        """Draw one frame: [1, 3, frame_px, frame_px], float32, -1 to 1. Each frame at most once, in order."""
        raise NotImplementedError
