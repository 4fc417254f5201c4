"""Runs suites part by part within a budget of time; what does not run is said, and why."""

import sys
import time
from collections.abc import Callable
from typing import Final

import torch

from benchmarks.errors import NotHereError
from benchmarks.nvml import GpuMonitor
from benchmarks.plan import Plan
from benchmarks.results import LeftOut, Run
from benchmarks.suite import Part, Suite
from kernels.errors import TritonUnavailableError

RESERVE_S: Final = 15.0
"""Kept back for the report: no part begins later than that before the end."""


class Budget:
    """Time that may be spent; none means as long as it takes."""

    def __init__(self, minutes: float | None, now_s: Callable[[], float] = time.monotonic) -> None:
        self.minutes = minutes
        self._now_s = now_s
        self._ends_s = None if minutes is None else now_s() + 60 * minutes - RESERVE_S

    @property
    def spent(self) -> bool:
        """Whether nothing more may begin."""
        return self._ends_s is not None and self._now_s() >= self._ends_s


def run_suite(run: Run, suite: Suite, plan: Plan, budget: Budget, tell: Callable[[str], None]) -> None:
    """Add the rows of a suite to a run, part by part.

    A part that fails costs its own rows only: it is told as it happens and kept in `Run.left_out`.

    Args:
        run: Takes the rows; whole after every part.
        suite: What to measure.
        plan: How much.
        budget: Looked at before each part; what it does not reach is left out.
        tell: Hears a line as each part begins or is left out.
    """
    first = len(run.rows)
    with GpuMonitor() as monitor:
        for part in suite.parts(plan):
            _run_part(suite, part, run, budget, tell)
    if monitor.state is not None:
        run.gpu_states.update({row.bench: monitor.state for row in run.rows[first:]})


def _run_part(suite: Suite, part: Part, run: Run, budget: Budget, tell: Callable[[str], None]) -> None:
    if budget.spent:
        _leave_out(run, LeftOut(suite.name, part.name, f"the {budget.minutes:g} minutes were over", False), tell)
        return
    tell(f"{suite.name}: {part.name}")
    try:
        run.rows.extend(part.run())
    except (NotHereError, TritonUnavailableError) as error:
        _leave_out(run, LeftOut(suite.name, part.name, str(error), False), tell)
    except Exception as error:  # an edge: whatever breaks in one part, the others are still worth their time
        _leave_out(run, LeftOut(suite.name, part.name, f"{type(error).__name__}: {error}", True), tell)
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _leave_out(run: Run, part: LeftOut, tell: Callable[[str], None]) -> None:
    run.left_out.append(part)
    tell(f"{'FAILED' if part.failed else 'left out'}: {part.suite}: {part.part}: {part.why}")


def to_stderr(line: str) -> None:
    """Progress for people; standard output is for the results."""
    print(line, file=sys.stderr, flush=True)
