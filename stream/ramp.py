"""How many streams an engine draws in time: more and more of them, until their frames are late."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.system import FRAME_MS, IdentityState, System
from stream.batch import Batcher, Job
from stream.costs import Costs
from stream.paint import Seat
from stream.worker import ModelWorker

LIMIT_MS: Final = float(FRAME_MS)
MOST_SESSIONS: Final = 1024
WARM_UP_FRAMES: Final = 10
_FRAME_S: Final = FRAME_MS / 1000.0


class Speaker(Protocol):
    """One stream whose every frame has to be drawn."""

    @property
    def seat(self) -> Seat:
        """Its own."""
        ...

    def job(self, frame: int, due_s: float) -> Job[object]:
        """The work of a frame that was due at `due_s`; frames come in order, but some are left out."""
        ...


MakeSpeaker = Callable[[System, Seat, int, int], Speaker]
"""Makes a stream of the system: its seat, which one it is, and how many frames it will have."""


@dataclass(frozen=True)
class Step:
    """What so many speaking sessions got.

    Attributes:
        sessions: How many.
        frames: Counted of each.
        p50_ms: From the moment a frame was due until it was done; a frame that was never drawn counts as infinite.
        p95_ms: Likewise.
        p99_ms: Likewise.
        missed: Share of the frames that were never drawn.
    """

    sessions: int
    frames: int
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


def ramp(
    system: System,
    identities: list[IdentityState],
    measure: Callable[[], Costs],
    speaker: MakeSpeaker,
    seconds: float,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Capacity:
    """Double the number of sessions until p99 misses a frame's time, then close in on the most that hold it.

    Args:
        system: What draws.
        identities: Shared out among the sessions, each with features of its own.
        measure: Tells what a frame costs; called on the model thread.
        speaker: Makes a session.
        seconds: How long each number is tried.
        on_step: Told of each.
    """

    async def find(worker: ModelWorker) -> Capacity:
        costs = await worker.run(measure)
        steps: list[Step] = []

        async def holds(sessions: int) -> bool:
            batcher = Batcher(worker, system, Costs(costs.step_ms, costs.row_ms), open_door=True)
            steps.append(await _try(batcher, identities, speaker, sessions, seconds))
            on_step(steps[-1])
            return steps[-1].in_time

        most = await largest(holds, MOST_SESSIONS)
        return Capacity(most, costs.sessions(), costs, tuple(steps))

    with ModelWorker() as worker:
        return asyncio.run(find(worker))


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


async def _try(
    batcher: Batcher, identities: list[IdentityState], speaker: MakeSpeaker, sessions: int, seconds: float
) -> Step:
    frames = WARM_UP_FRAMES + round(seconds / _FRAME_S)
    speakers = [
        speaker(batcher.system, batcher.sit(replace(identities[n % len(identities)])), n, frames)
        for n in range(sessions)
    ]
    begin_s = time.monotonic() + 0.1
    took_ms = await asyncio.gather(
        *(_speak(one, batcher, begin_s + n * _FRAME_S / sessions, frames) for n, one in enumerate(speakers))
    )
    counted = np.array([of_one[WARM_UP_FRAMES:] for of_one in took_ms])
    p50, p95, p99 = (round(float(p), 2) for p in np.percentile(counted, (50, 95, 99), method="higher"))
    missed = round(float(np.isinf(counted).mean()), 4)
    return Step(sessions, frames - WARM_UP_FRAMES, p50, p95, p99, missed)


async def _speak(speaker: Speaker, batcher: Batcher, begin_s: float, frames: int) -> NDArray[np.float64]:
    """One session's frames, [frames]: ms from due to done."""
    took_ms = np.full(frames, np.inf)
    for frame in range(frames):
        due_s = begin_s + frame * _FRAME_S
        if due_s + _FRAME_S < time.monotonic():
            batcher.note_missed()
            continue  # the next one is due already, as in a session
        await asyncio.sleep(due_s - time.monotonic())
        if await batcher.draw(speaker.job(frame, due_s)) is not None:
            took_ms[frame] = 1000.0 * (time.monotonic() - due_s)
    batcher.leave(speaker.seat)
    return took_ms if batcher.rung == "full" else np.full(frames, np.inf)
