"""Sessions against latency: what a ramp found, as rows that a report draws."""

import math
from collections.abc import Iterable
from typing import Final, Protocol

from benchmarks.harness import Device, Row, value_row

BENCH: Final = "sessions"
DUE_MS: Final = 40.0


class Step(Protocol):
    """What so many sessions got, ms from the moment a frame was due; infinite where it was never drawn."""

    @property
    def sessions(self) -> int: ...
    @property
    def p50_ms(self) -> float: ...
    @property
    def p95_ms(self) -> float: ...
    @property
    def p99_ms(self) -> float: ...


def rows(system: str, steps: Iterable[Step], frames: int, device: Device) -> list[Row]:
    """A row for each number of sessions, fewest first, and one of the most that were in time.

    Args:
        system: What drew: name and pixels.
        steps: What was tried, in any order; a number at which half the frames were never drawn gives no row.
        frames: How many of each session were counted.
        device: What drew.
    """
    tried = sorted(steps, key=lambda step: step.sessions)
    found = [
        Row(
            BENCH,
            f"{system}, {step.sessions} sessions",
            "ms",
            step.p50_ms,
            _finite(step.p95_ms),
            _finite(step.p99_ms),
            step.sessions * frames,
            device=device,
            x=float(step.sessions),
            x_unit=BENCH,
        )
        for step in tried
        if math.isfinite(step.p50_ms)
    ]
    most = max((step.sessions for step in tried if step.p99_ms <= DUE_MS), default=0)
    return [*found, value_row(BENCH, f"{system}, most in time", BENCH, most, device=device)]


def _finite(ms: float) -> float | None:
    return ms if math.isfinite(ms) else None
