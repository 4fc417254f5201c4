import math
from types import SimpleNamespace
from xml.etree import ElementTree

from benchmarks.bench_sessions import rows
from benchmarks.report import report
from benchmarks.results import Run, as_json, read_run


def step(sessions, p50, p95, p99):
    return SimpleNamespace(sessions=sessions, p50_ms=p50, p95_ms=p95, p99_ms=p99)


RAMP = [step(8, 20.0, 30.0, 39.0), step(1, 9.0, 9.5, 10.0), step(16, 30.0, 45.0, math.inf), step(32, *[math.inf] * 3)]


def test_a_ramp_becomes_rows_by_sessions_and_the_most_in_time():
    found = rows("visavis 256 px", RAMP, frames=100, device="cuda")
    assert [(row.name, row.p50, row.p99, row.n, row.x) for row in found] == [
        ("visavis 256 px, 1 sessions", 9.0, 10.0, 100, 1.0),
        ("visavis 256 px, 8 sessions", 20.0, 39.0, 800, 8.0),
        ("visavis 256 px, 16 sessions", 30.0, None, 1600, 16.0),
        ("visavis 256 px, most in time", 8, None, 1, None),
    ]


def test_where_not_even_one_is_in_time_the_most_is_none():
    assert rows("s", [step(1, 50.0, 60.0, 70.0)], frames=1, device="cpu")[-1].p50 == 0


def test_the_rows_survive_a_file_and_are_drawn(tmp_path):
    path = tmp_path / "ramp.json"
    path.write_text(as_json(Run(rows("visavis 256 px", RAMP, frames=100, device="cpu"))))
    page = report([read_run(path)])
    start = page.index('<svg class="chart"')
    svg = ElementTree.fromstring(page[start : page.index("</svg>", start) + 6])
    assert svg.get("aria-label") == "Latency of a frame"
    assert len(svg.find("polyline").get("points").split()) == 2  # one and eight; beyond, p99 is infinite
