"""Time calls, describe the machine, keep rows of results."""

import csv
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import numpy as np

RESULTS_DIR: Final = Path(__file__).parent / "results"
PACKAGES: Final = ("torch", "openvino", "aiortc", "av", "numpy")


@dataclass(frozen=True)
class Latency:
    """Percentiles of `n` timed calls, in ms."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    n: int


@dataclass(frozen=True)
class Row:
    """One measured number with everything that it depends on.

    Attributes:
        bench: Which benchmark.
        name: What was measured.
        unit: Of the values.
        p50: Median, or the only value of what is measured once; `p95` and `p99` are then None.
        n: How many values.
        limit: The most that the project allows itself, None where nothing is promised; for the percentile `limit_of`.
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

    @property
    def holds(self) -> bool | None:
        """Whether the limit is kept; None where there is none."""
        if self.limit is None:
            return None
        value = {"p50": self.p50, "p95": self.p95, "p99": self.p99}[self.limit_of]
        return value is not None and value <= self.limit


def measure(call: Callable[[], object], n: int = 100, warm_up: int = 10) -> Latency:
    """Time `call` from submission until it has finished.

    Args:
        call: Returns when the work is done (on a GPU: synchronises).
        n: Timed calls.
        warm_up: Untimed calls before.
    """
    for _ in range(warm_up):
        call()
    times_ms: list[float] = []
    for _ in range(n):
        started_ns = time.perf_counter_ns()
        call()
        times_ms.append((time.perf_counter_ns() - started_ns) / 1e6)
    return latency(times_ms)


def latency(times_ms: Sequence[float]) -> Latency:
    """Percentiles of times that were taken elsewhere."""
    p50, p95, p99 = (round(float(p), 3) for p in np.percentile(times_ms, (50, 95, 99)))
    return Latency(p50, p95, p99, len(times_ms))


def latency_row(bench: str, name: str, taken: Latency, limit: float | None = None, limit_of: str = "p50") -> Row:
    """A row of milliseconds."""
    return Row(bench, name, "ms", taken.p50_ms, taken.p95_ms, taken.p99_ms, taken.n, limit, limit_of)


def value_row(bench: str, name: str, unit: str, value: float, limit: float | None = None) -> Row:
    """A row of one value."""
    return Row(bench, name, unit, value, None, None, 1, limit)


def environment() -> dict[str, str]:
    """Where the numbers come from: device, cores, versions, commit."""
    versions = {name: _version(name) for name in PACKAGES}
    return {
        "taken_utc": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "commit": _commit(),
        "cpu": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "gpu": _gpu_name(),
        "python": platform.python_version(),
        **versions,
    }


def save(rows: Sequence[Row], directory: Path = RESULTS_DIR) -> None:
    """Append the rows to `<bench>.csv`, each with the machine it was measured on."""
    around = environment()
    for row in rows:
        path = directory / f"{row.bench}.csv"
        fields = {**asdict(row), **around}
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fields.keys(), lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerow(fields)


def as_json(rows: Sequence[Row]) -> str:
    """Rows and machine as one JSON object."""
    results = [{**asdict(row), "holds": row.holds} for row in rows]
    return json.dumps({"environment": environment(), "results": results}, indent=2)


def as_table(rows: Sequence[Row]) -> str:
    """Rows for people."""

    def number(value: float | None) -> str:
        return f"{'-' if value is None else f'{value:.1f}':>9}"

    def line(row: Row) -> str:
        verdict = "" if row.limit is None else f"  {'ok' if row.holds else 'MISSED'}, at most {row.limit:g}"
        return f"{row.name:<40}{number(row.p50)}{number(row.p95)}{number(row.p99)} {row.unit:<8} n={row.n}{verdict}"

    return "\n".join([f"{'':<40}{'p50':>9}{'p95':>9}{'p99':>9}", *map(line, rows)])


@contextmanager
def stopwatch(times_ms: list[float]) -> Generator[None]:
    """Append how long the block took."""
    started_ns = time.perf_counter_ns()
    yield
    times_ms.append((time.perf_counter_ns() - started_ns) / 1e6)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    root = Path(__file__).parent.parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _gpu_name() -> str:
    import pynvml

    try:
        pynvml.nvmlInit()
        return str(pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0)))
    except pynvml.NVMLError:
        return ""
