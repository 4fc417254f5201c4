"""Runs suites part by part within a budget of time; what does not run is said, and why."""

import math
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import torch

from benchmarks.errors import NotHereError
from benchmarks.nvml import GpuMonitor
from benchmarks.plan import Plan
from benchmarks.results import LeftOut, Run
from benchmarks.suite import Part, Suite
from kernels.errors import TritonUnavailableError

RESERVE_S: Final = 15.0
"""Kept back for the report: that long before the end nothing begins, and what still runs is ended."""


class _OutOfTimeError(BaseException):  # no library may take it for an error of its own
    """The budget ended while a part was running."""


class Budget:
    """Time that may be spent; none means as long as it takes."""

    def __init__(self, minutes: float | None, now_s: Callable[[], float] = time.monotonic) -> None:
        self.minutes = minutes
        self._now_s = now_s
        self._ends_s = None if minutes is None else now_s() + 60 * minutes - RESERVE_S

    @property
    def left_s(self) -> float:
        """What may still be spent, s; infinite without a limit."""
        return math.inf if self._ends_s is None else self._ends_s - self._now_s()


def run_suite(run: Run, suite: Suite, plan: Plan, budget: Budget, tell: Callable[[str], None]) -> None:
    """Add the rows of a suite to a run, part by part.

    A part that fails costs its own rows only: it is told as it happens and kept in `Run.left_out`.

    Args:
        run: Takes the rows; whole after every part.
        suite: What to measure.
        plan: How much.
        budget: What it does not reach, or ends, is left out.
        tell: Hears a line as each part begins or is left out.
    """
    first = len(run.rows)
    try:
        parts = suite.parts(plan)
    except Exception as error:  # the same edge as for a part: here a library is missing, or broken
        _leave_out(run, LeftOut(suite.name, "all of it", f"{type(error).__name__}: {error}", True), tell)
        return
    with GpuMonitor() as monitor:
        for part in parts:
            _run_part(suite, part, run, budget, tell)
    if monitor.state is not None:
        run.gpu_states.update({row.bench: monitor.state for row in run.rows[first:]})


def _run_part(suite: Suite, part: Part, run: Run, budget: Budget, tell: Callable[[str], None]) -> None:
    over = LeftOut(suite.name, part.name, f"the {budget.minutes} minutes were over", False)
    if budget.left_s <= 0:
        _leave_out(run, over, tell)
        return
    tell(f"{suite.name}: {part.name}")
    try:
        with _within(budget.left_s):
            run.rows.extend(part.run())
    except _OutOfTimeError:
        _leave_out(run, over, tell)
    except (NotHereError, TritonUnavailableError) as error:
        _leave_out(run, LeftOut(suite.name, part.name, str(error), False), tell)
    except Exception as error:  # an edge: whatever breaks in one part, the others are still worth their time
        _leave_out(run, LeftOut(suite.name, part.name, f"{type(error).__name__}: {error}", True), tell)
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@contextmanager
def _within(left_s: float) -> Generator[None]:
    """End the block from inside after so long: compiling has no other limit. Needs the main thread."""
    if math.isinf(left_s):
        yield
        return

    def end(*_: object) -> None:
        raise _OutOfTimeError

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, left_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _leave_out(run: Run, part: LeftOut, tell: Callable[[str], None]) -> None:
    run.left_out.append(part)
    tell(f"{'FAILED' if part.failed else 'left out'}: {part.suite}: {part.part}: {part.why}")


def to_stderr(line: str) -> None:
    """Progress for people; standard output is for the results."""
    print(line, file=sys.stderr, flush=True)
