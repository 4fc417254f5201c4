"""What the bench of a whole server keeps of a probe."""

from dataclasses import replace

import pytest

from benchmarks.bench_server import probe_rows
from benchmarks.errors import NothingSeenError
from stream.probe_report import report
from tests.stream.test_probe import recording


def test_the_stages_of_the_server_are_rows_of_their_own():
    def took(ms):
        return {"p50": ms, "p95": 2 * ms, "p99": 3 * ms}

    told = {"sent": 1500, "stages": {"receive": took(1.0), "hold": {}, "encode": took(2.0), "total": took(3.0)}}
    seen = replace(report(recording()), server=told, late_or_dropped_percent=0.0)
    rows = probe_rows(seen)
    assert [(r.form, r.p50, r.p95, r.p99, r.n) for r in rows if r.bench == "call"] == [
        ("receive", 1.0, 2.0, 3.0, 1024),
        ("encode", 2.0, 4.0, 6.0, 1024),
    ]
    whole = next(row for row in rows if row.name == "sound in to picture out")
    assert (whole.bench, whole.p50, whole.n) == ("server", 3.0, 1024)


def test_a_server_that_told_nothing_is_no_result():
    with pytest.raises(NothingSeenError):
        probe_rows(report(recording()))
