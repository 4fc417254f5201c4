"""Time calls, and the rows that say what was measured."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

Bound = Literal["most", "least"]
Device = Literal["cpu", "cuda"]
Sampler = Callable[[int], list[float]]
"""Makes that many calls and returns the time of each, ms."""

TURNS: Final = 10


@dataclass(frozen=True)
class Latency:
    """Percentiles of `n` timed calls, in ms, and the times themselves in the order in which they were taken."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    n: int
    samples_ms: tuple[float, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Row:
    """One measured number with everything that it depends on.

    Attributes:
        bench: Which benchmark.
        name: What was measured; behind its last ", " stands the form, stage or backend that a chart sets side by side.
        unit: Of the values.
        p50: Median, or the only value of what is measured once; `p95` and `p99` are then None.
        n: How many values.
        limit: What the project promises, None where nothing is; for the percentile `limit_of`.
        bound: Whether `limit` is the most that is allowed, or the least.
        device: Where the work ran.
        x: What the row is drawn against, in `x_unit`: bytes that a kernel must move, or sessions. None for no chart.
        samples: The values behind the percentiles, in the order in which they were taken; kept in JSON only.
    """

    bench: str
    name: str
    unit: str
    p50: float
    p95: float | None
    p99: float | None
    n: int
    limit: float | None = None
    limit_of: str = "p50"
    bound: Bound = "most"
    device: Device = "cpu"
    x: float | None = None
    x_unit: str = ""
    samples: tuple[float, ...] = field(default=(), compare=False, repr=False)

    @property
    def holds(self) -> bool | None:
        """Whether the limit is kept; None where there is none."""
        if self.limit is None:
            return None
        value = {"p50": self.p50, "p95": self.p95, "p99": self.p99}[self.limit_of]
        if value is None:
            return False
        return value <= self.limit if self.bound == "most" else value >= self.limit

    @property
    def case(self) -> str:
        """The name without its form."""
        return self.name.rpartition(", ")[0] or self.name

    @property
    def form(self) -> str:
        """What stands behind the name's last comma."""
        return self.name.rpartition(", ")[2]


def measure(call: Callable[[], object], n: int = 100, warm_up: int = 10) -> Latency:
    """Time `call` from submission until it has finished.

    Args:
        call: Returns when the work is done (on a GPU: synchronises).
        n: Timed calls.
        warm_up: Untimed calls before.
    """
    for _ in range(warm_up):
        call()
    return latency(wall(call)(n))


def wall(call: Callable[[], object]) -> Sampler:
    """Times a call that returns when its work is done."""

    def sample(n: int) -> list[float]:
        times_ms: list[float] = []
        for _ in range(n):
            with stopwatch(times_ms):
                call()
        return times_ms

    return sample


def take_turns(samplers: Mapping[str, Sampler], n: int, warm_up: int = 3) -> dict[str, Latency]:
    """Time contestants in turns, so that whatever slows the machine for a while slows all of them.

    Args:
        samplers: The contestants.
        n: Timed calls of each, rounded up to a multiple of the turns: ten, or fewer where `n` is.
        warm_up: Untimed calls of each before the first turn. One more begins each turn: it finds the caches cold.
    """
    for sample in samplers.values():
        sample(warm_up)
    turns = min(TURNS, n)
    times_ms: dict[str, list[float]] = {name: [] for name in samplers}
    for _ in range(turns):
        for name, sample in samplers.items():
            times_ms[name] += sample(1 - -n // turns)[1:]
    return {name: latency(times) for name, times in times_ms.items()}


def latency(times_ms: Sequence[float]) -> Latency:
    """Percentiles of times that were taken elsewhere."""
    p50, p95, p99 = (round(float(p), 4) for p in np.percentile(times_ms, (50, 95, 99)))
    return Latency(p50, p95, p99, len(times_ms), tuple(round(t, 5) for t in times_ms))


def latency_row(
    bench: str,
    name: str,
    taken: Latency,
    limit: float | None = None,
    limit_of: str = "p50",
    *,
    device: Device = "cpu",
    x: float | None = None,
    x_unit: str = "",
) -> Row:
    """A row of milliseconds."""
    values = (taken.p50_ms, taken.p95_ms, taken.p99_ms, taken.n)
    return Row(bench, name, "ms", *values, limit, limit_of, "most", device, x, x_unit, taken.samples_ms)


def value_row(
    bench: str,
    name: str,
    unit: str,
    value: float,
    limit: float | None = None,
    *,
    bound: Bound = "most",
    device: Device = "cpu",
    x: float | None = None,
    x_unit: str = "",
) -> Row:
    """A row of one value."""
    return Row(bench, name, unit, value, None, None, 1, limit, bound=bound, device=device, x=x, x_unit=x_unit)


@contextmanager
def stopwatch(times_ms: list[float]) -> Generator[None]:
    """Append how long the block took."""
    started_ns = time.perf_counter_ns()
    yield
    times_ms.append((time.perf_counter_ns() - started_ns) / 1e6)
