"""How many sessions this machine draws in time, through the engine that serves them.

Each caller has a face, a front end and an encoder of its own, as in a session; only the network is left out.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.system import SAMPLE_RATE_HZ, IdentityState, System
from stream.costs import Costs
from stream.face import DueMark, Face, FrameJob, Orders, own_part
from stream.hearing import Hearing
from stream.measure import measure_costs
from stream.pacing import sound_end
from stream.paint import Seat
from stream.probe_sound import RATE_HZ, syllable_clips
from stream.ramp import Capacity, Step, ramp
from stream.vp8 import Vp8Encoder

_APART_SAMPLES: Final = 4801  # so that not all mouths move alike


def find_capacity(
    system: System,
    identities: list[IdentityState],
    seconds: float,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Capacity:
    """How many sessions are drawn in time; the arguments are those of `stream.ramp.ramp`."""

    def measure() -> Costs:
        return measure_costs(system, identities[0], own_part(system))

    return ramp(system, identities, measure, Caller, seconds, on_step)


class Caller:
    """A whole session but for its network: hears, composes, encodes.

    Args:
        system: What draws.
        seat: Its own.
        number: Which caller it is: a seed.
        frames: How many frames it will have.
        silent: It says nothing; else syllables without a pause.
    """

    def __init__(self, system: System, seat: Seat, number: int, frames: int, *, silent: bool = False) -> None:
        self.seat = seat
        self._face = Face(Hearing(system, seed=number), seat, Vp8Encoder())
        self._lookahead_ms = system.lookahead_ms[0]
        said = _speech(sound_end(frames, self._lookahead_ms))
        self._sound = np.zeros_like(said) if silent else np.roll(said, number * _APART_SAMPLES)

    def job(self, frame: int, due_s: float) -> FrameJob:
        """The work of a frame that was due at `due_s`."""
        end = sound_end(frame, self._lookahead_ms)
        due = DueMark(frame, self._lookahead_ms, end, due_s, due_s)
        samples = self._sound[self._face.heard_samples : end]
        return FrameJob(self._face, due, samples, Orders(), key=frame == 0, bitrate=0)


def _speech(samples: int) -> NDArray[np.float32]:
    """Made-up syllables without a pause, [samples], 16 kHz."""
    sound = np.concatenate([clip.samples for clip in syllable_clips(6)])
    down = RATE_HZ // SAMPLE_RATE_HZ
    at_16_khz = sound[: len(sound) // down * down].reshape(-1, down).mean(axis=1).astype(np.float32)
    return np.resize(at_16_khz, samples)
