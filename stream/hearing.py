"""From sound to what a frame needs, without a clock: what the live stage and `visavis render` both run."""

import numpy as np
import torch
from numpy.typing import NDArray

from models.idle import IdleLife
from models.rig import CONTROLS, clamp
from models.system import FRAME_MS, AudioFeatures, ControlBatch, Facts
from stream.due_frame import DueFrame, feature_stream
from stream.pacing import Pacer, snap, sound_end
from stream.targets import ControlTargets
from stream.vad import MouthGate


class Hearing:
    """One stream's front end, mouth gate, control targets and idle life, behind one `push`.

    Not thread-safe: one thread at a time. However the sound is cut into pushes, the frames are the same.

    Attributes:
        targets: What the control channel wants.
        gate: Closes the mouth in silence.
        heard_samples: How much was pushed so far, at 16 kHz.
    """

    def __init__(self, system: Facts, *, lookahead_ms: int = 40, idle: bool = True, seed: int = 0) -> None:
        """Start in silence at media time 0. `lookahead_ms` snaps to the nearest that the system was trained for.

        Raises:
            FrontEndError: As of `feature_stream`.
        """
        self.targets = ControlTargets()
        self.gate = MouthGate()
        self.heard_samples = 0
        self._lookaheads_ms = system.lookahead_ms
        self._features = feature_stream(system)
        self._pacer = Pacer(snap(lookahead_ms, system.lookahead_ms))
        self._idle = IdleLife(seed) if idle else None

    @property
    def lookahead_ms(self) -> int:
        """The look-ahead in use; setting it snaps like the constructor."""
        return self._pacer.lookahead_ms

    @lookahead_ms.setter
    def lookahead_ms(self, wanted_ms: int) -> None:
        self._pacer.lookahead_ms = snap(wanted_ms, self._lookaheads_ms)

    def push(self, samples: NDArray[np.float32]) -> list[DueFrame]:
        """Hear the next samples ([n], 16 kHz, -1 to 1) and return the frames that they complete, in order.

        A frame is complete once the sound up to `40 * frame + lookahead_ms` was pushed; push zeros at the end of a
        file to get the last ones.
        """
        frames: list[DueFrame] = []
        done = 0
        while True:
            # hear no further than the next frame may, so that cutting the sound differently changes nothing
            wanted = sound_end(self._pacer.next_frame, self.lookahead_ms) - self.heard_samples
            part = samples[done : done + max(0, wanted)]
            done += part.size
            self._hear(part)
            due = self._pacer.due(self.heard_samples)
            frames += [self._frame(number) for number in due]
            if not due and done == samples.size:
                return frames

    def _hear(self, samples: NDArray[np.float32]) -> None:
        self.heard_samples += samples.size
        self.gate.push(samples)
        self._features.push(samples)

    def _frame(self, number: int) -> DueFrame:
        pts_ms = FRAME_MS * number
        values, lip_gain, intensity = self.targets.at(pts_ms)
        gate = self.gate.gain(pts_ms)
        if self._idle is not None:
            values = clamp(values + self._idle.controls(pts_ms, gate * intensity))
        window = torch.from_numpy(self._features.frame(number, self.lookahead_ms))
        features = AudioFeatures(window[None], torch.tensor([float(self.lookahead_ms)]))
        controls = ControlBatch(values.reshape(1, len(CONTROLS)), torch.tensor([gate * _lips(lip_gain, intensity)]))
        return DueFrame(number, features, controls)


def _lips(lip_gain: float, speech_intensity: float) -> float:
    """Factor on the lips, 0 to 2; at a speech intensity of 0, a mumble, they still move by half."""
    return min(2.0, lip_gain * (0.5 + 0.5 * speech_intensity))
