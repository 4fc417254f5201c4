"""Whole sessions but for their network: until the 99th percentile misses a frame, and what a silent one costs."""

import time
from typing import Final

from benchmarks.bench_sessions import rows, seconds
from benchmarks.errors import NothingSeenError
from benchmarks.faces import demo_photos
from benchmarks.harness import Row, value_row
from benchmarks.plan import Plan
from benchmarks.suite import Part
from models.registry import load_system
from models.system import FPS
from stream.capacity import Caller, find_capacity
from stream.paint import Painter, Seat

CHEAPER: Final = 3.0
"""How many times less processor time silence should take than speech."""
_TURN_FRAMES: Final = 4 * FPS


def parts(plan: Plan) -> list[Part]:
    """The bundled default with the demo photos."""
    return [Part("whole sessions", lambda: _measured(plan)), Part("speech and silence", lambda: _silence(plan))]


def _measured(plan: Plan) -> list[Row]:
    system = load_system()
    found = find_capacity(system, [system.enroll(photo) for photo in demo_photos()], seconds(plan))
    return rows(f"{system.name}, whole sessions", found.steps, plan.device)


def _silence(plan: Plan) -> list[Row]:
    """Processor time of a frame, all threads, of a caller who speaks and of one who is silent but alive; by turns."""
    system = load_system()
    identity, painter = system.enroll(next(iter(demo_photos()))), Painter(system)
    turns = max(3, round(seconds(plan) * FPS / _TURN_FRAMES))
    callers = {
        name: Caller(system, Seat(row, identity), row, (turns + 1) * _TURN_FRAMES, silent=name == "silence")
        for row, name in enumerate(("speech", "silence"))
    }
    spent_s = dict.fromkeys(callers, 0.0)
    for turn in range(turns + 1):
        for name, caller in callers.items():
            took_s = _turn(painter, caller, turn * _TURN_FRAMES)
            spent_s[name] += took_s if turn else 0.0  # the first warms up
    per_frame = {name: 1000 * took_s / (turns * _TURN_FRAMES) for name, took_s in spent_s.items()}
    made = [value_row("capacity", f"{name}, processor time a frame", "ms", ms) for name, ms in per_frame.items()]
    ratio = per_frame["speech"] / per_frame["silence"]
    return [*made, value_row("capacity", "speech over silence", "times", ratio, CHEAPER, bound="least")]


def _turn(painter: Painter, caller: Caller, first: int) -> float:
    """Processor time of some frames in a row, s.

    Raises:
        NothingSeenError: If one of them did not come out.
    """
    began_s = time.process_time()
    for frame in range(first, first + _TURN_FRAMES):
        job = caller.job(frame, time.monotonic())
        if brush := job.hear("full"):
            painter.paint([brush])
        if not brush or job.finish(brush) is None:
            raise NothingSeenError(f"frame {frame} of a session")
    return time.process_time() - began_s
