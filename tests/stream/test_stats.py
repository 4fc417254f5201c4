import pytest

from stream.stats import Ring, SessionStats, stage_spans_ms
from stream.types import STAGES, FrameReport


def test_percentiles_are_those_of_the_newest_values():
    ring = Ring(100)
    for value in range(1000):
        ring.add(value)
    held = ring.percentiles()
    assert held == {"p50": 949.5, "p95": pytest.approx(994.05), "p99": pytest.approx(998.01)}
    assert Ring().percentiles() == {}


def test_late_frames_count_as_sent_and_dropped_ones_do_not():
    stats = SessionStats()
    stats.tick(10.0)
    for frame, outcome in enumerate(["sent", "late", "dropped", "sent"]):
        stats.add(FrameReport(frame, outcome, {} if outcome == "dropped" else {"total": 5.0}))
    stats.tick(12.0)
    assert (stats.sent, stats.late, stats.dropped, stats.fps) == (3, 1, 1, 1.5)
    assert stats.stages()["total"] == {"p50": 5.0, "p95": 5.0, "p99": 5.0}


def test_spans_add_up_to_the_total():
    stamps = {name: 10.0 + 0.001 * 2**index for index, name in enumerate(STAGES[:-1])}
    spans = stage_spans_ms(stamps, received_s=10.0)
    assert list(spans) == list(STAGES)
    assert spans["receive"] == pytest.approx(1.0)
    assert spans["encode"] == pytest.approx(16.0)
    assert sum(spans[name] for name in STAGES[:-1]) == pytest.approx(spans["total"])
