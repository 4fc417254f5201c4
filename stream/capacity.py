"""How many sessions this machine draws in time: more and more callers speak, through the engine that serves them.

Each caller has a face, a front end and an encoder of its own, as in a session; only the network is left out.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.system import FRAME_MS, SAMPLE_RATE_HZ, IdentityState, System
from stream.batch import Batcher
from stream.costs import Costs
from stream.face import DueMark, Face, FrameJob, Orders
from stream.hearing import Hearing
from stream.measure import measure_costs
from stream.pacing import sound_end
from stream.probe_sound import RATE_HZ, syllable_clips
from stream.vp8 import Vp8Encoder
from stream.worker import ModelWorker

LIMIT_MS: Final = float(FRAME_MS)
MOST_SESSIONS: Final = 1024
WARM_UP_FRAMES: Final = 10
_FRAME_S: Final = FRAME_MS / 1000.0
_APART_SAMPLES: Final = 4801  # so that not all mouths move alike


@dataclass(frozen=True)
class Step:
    """What so many speaking sessions got.

    Attributes:
        sessions: How many.
        p50_ms: From the moment a frame was due until it was encoded; a frame that was never drawn counts as infinite.
        p95_ms: Likewise.
        p99_ms: Likewise.
        missed: Share of the frames that were never drawn.
    """

    sessions: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    missed: float

    @property
    def in_time(self) -> bool:
        """Whether p99 is within a frame's 40 ms."""
        return self.p99_ms <= LIMIT_MS


@dataclass(frozen=True)
class Capacity:
    """What the machine can do.

    Attributes:
        sessions: The most that were drawn in time; 0 if not even one was.
        admitted: How many callers in conversation a server here lets in.
        costs: What that rests on.
        steps: All that was tried, in order.
    """

    sessions: int
    admitted: int
    costs: Costs
    steps: tuple[Step, ...]

    def facts(self) -> dict[str, object]:
        """All of it for JSON; what is infinite is null."""
        steps = [{k: v if math.isfinite(v) else None for k, v in asdict(step).items()} for step in self.steps]
        costs = {"step_ms": dict(self.costs.step_ms), "row_ms": self.costs.row_ms, "rows": self.costs.rows}
        return {"sessions": self.sessions, "admitted": self.admitted, "costs": costs, "steps": steps}


def find_capacity(
    system: System,
    identities: list[IdentityState],
    seconds: float,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Capacity:
    """Double the number of sessions until p99 misses a frame's time, then close in on the most that hold it.

    Args:
        system: What draws.
        identities: Shared out among the sessions, each with features of its own.
        seconds: How long each number is tried.
        on_step: Told of each.
    """
    with ModelWorker() as worker:
        return asyncio.run(_find(worker, system, identities, seconds, on_step))


async def _find(
    worker: ModelWorker,
    system: System,
    identities: list[IdentityState],
    seconds: float,
    on_step: Callable[[Step], None],
) -> Capacity:
    costs = await worker.run(lambda: measure_costs(system, identities[0]))
    steps: list[Step] = []

    async def holds(sessions: int) -> bool:
        fresh = Costs(costs.step_ms, costs.row_ms)
        steps.append(await _try(Batcher(worker, system, fresh, open_door=True), identities, sessions, seconds))
        on_step(steps[-1])
        return steps[-1].in_time

    most = await largest(holds, MOST_SESSIONS)
    return Capacity(most, costs.sessions(), costs, tuple(steps))


async def largest(holds: Callable[[int], Awaitable[bool]], limit: int) -> int:
    """The largest number up to `limit` that holds, if all smaller ones do; 0 if 1 does not."""
    good, bad = 0, limit + 1
    trial = 1
    while good + 1 < bad:
        if await holds(trial):
            good = trial
        else:
            bad = trial
        trial = min(2 * trial, limit) if bad > limit else (good + bad) // 2
    return good


async def _try(batcher: Batcher, identities: list[IdentityState], sessions: int, seconds: float) -> Step:
    frames = WARM_UP_FRAMES + round(seconds / _FRAME_S)
    sound = _speech(sound_end(frames, batcher.system.lookahead_ms[0]))
    begin_s = time.monotonic() + 0.1
    took_ms = await asyncio.gather(
        *(
            _call(
                Face(
                    Hearing(batcher.system, seed=n), batcher.sit(replace(identities[n % len(identities)])), Vp8Encoder()
                ),
                batcher,
                np.roll(sound, n * _APART_SAMPLES),
                begin_s + n * _FRAME_S / sessions,
                frames,
            )
            for n in range(sessions)
        )
    )
    counted = np.array([of_one[WARM_UP_FRAMES:] for of_one in took_ms])
    p50, p95, p99 = (round(float(p), 2) for p in np.percentile(counted, (50, 95, 99), method="higher"))
    return Step(sessions, p50, p95, p99, round(float(np.isinf(counted).mean()), 4))


async def _call(
    face: Face, batcher: Batcher, sound: NDArray[np.float32], begin_s: float, frames: int
) -> NDArray[np.float64]:
    """One session's frames, [frames]: ms from due to encoded."""
    lookahead_ms = batcher.system.lookahead_ms[0]
    took_ms = np.full(frames, np.inf)
    for frame in range(frames):
        due_s = begin_s + frame * _FRAME_S
        if due_s + _FRAME_S < time.monotonic():
            batcher.note_missed()
            continue  # the next one is due already, as in a session
        await asyncio.sleep(due_s - time.monotonic())
        end = sound_end(frame, lookahead_ms)
        due = DueMark(frame, lookahead_ms, end, due_s, due_s)
        job = FrameJob(face, due, sound[face.heard_samples : end], Orders(), key=frame == 0, bitrate=0)
        if await batcher.draw(job) is not None:
            took_ms[frame] = 1000.0 * (time.monotonic() - due_s)
    batcher.leave(face.seat)
    return took_ms if batcher.rung == "full" else np.full(frames, np.inf)


def _speech(samples: int) -> NDArray[np.float32]:
    """Made-up syllables without a pause, [samples], 16 kHz."""
    sound = np.concatenate([clip.samples for clip in syllable_clips(6)])
    down = RATE_HZ // SAMPLE_RATE_HZ
    at_16_khz = sound[: len(sound) // down * down].reshape(-1, down).mean(axis=1).astype(np.float32)
    return np.resize(at_16_khz, samples)
