"""Per-stage latency of one session: rings of recent values and their percentiles. Pure."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from stream.types import JSON, STAGES, FrameReport

RING: Final = 1024
PERCENTILES: Final = (50, 95, 99)


class Ring:
    """The newest 1024 values of something."""

    def __init__(self, size: int = RING) -> None:
        self._values = np.zeros(size)
        self._count = 0

    def add(self, value: float) -> None:
        self._values[self._count % self._values.size] = value
        self._count += 1

    def percentiles(self) -> dict[str, JSON]:
        """{"p50", "p95", "p99"} of what the ring holds; empty while it holds nothing."""
        if not self._count:
            return {}
        held = self._values[: min(self._count, self._values.size)]
        return {f"p{p}": round(float(v), 3) for p, v in zip(PERCENTILES, np.percentile(held, PERCENTILES), strict=True)}


class SessionStats:
    """Counts what became of the frames.

    Attributes:
        sent: Frames sent, late ones among them.
        late: Frames sent after the next one was due, later still by as much as the face waits for the voice.
        dropped: Frames never drawn.
        fps: Frames sent per second, between the last two calls of `tick`.
    """

    def __init__(self) -> None:
        self.sent = self.late = self.dropped = 0
        self.fps = 0.0
        self._stages = {name: Ring() for name in STAGES}
        self._ticked_s: float | None = None
        self._sent_at_tick = 0

    def add(self, report: FrameReport) -> None:
        """Take in one frame."""
        if report.outcome == "dropped":
            self.dropped += 1
            return
        self.sent += 1
        self.late += report.outcome == "late"
        for name, stage_ms in report.stages_ms.items():
            self._stages[name].add(stage_ms)

    def tick(self, now_s: float) -> None:
        """Measure the frame rate since the last tick."""
        if self._ticked_s is not None and now_s > self._ticked_s:
            self.fps = (self.sent - self._sent_at_tick) / (now_s - self._ticked_s)
        self._ticked_s, self._sent_at_tick = now_s, self.sent

    def stages(self) -> dict[str, JSON]:
        """{stage: {"p50", "p95", "p99"}} in ms."""
        return {name: ring.percentiles() for name, ring in self._stages.items()}


def stage_spans_ms(stamps_s: Mapping[str, float], *, received_s: float) -> dict[str, float]:
    """Durations of `STAGES` from the moments at which each of them ended (all but "total").

    Args:
        stamps_s: When each stage ended, in the order of `STAGES`, on the monotonic clock.
        received_s: When the packet that completed the frame's sound came.
    """
    spans: dict[str, float] = {}
    before_s = received_s
    for name in STAGES[:-1]:
        spans[name] = 1000.0 * (stamps_s[name] - before_s)
        before_s = stamps_s[name]
    return {**spans, "total": 1000.0 * (before_s - received_s)}
