import math
from xml.etree import ElementTree

from benchmarks.bench_sessions import rows
from benchmarks.report import report
from benchmarks.results import Run, as_json, read_run
from stream.ramp import Step


def step(sessions, p50, p95, p99):
    return Step(sessions, 100, p50, p95, p99, 0.0)


RAMP = [step(8, 20.0, 30.0, 39.0), step(1, 9.0, 9.5, 10.0), step(16, 30.0, 45.0, math.inf), step(32, *[math.inf] * 3)]


def test_a_ramp_becomes_rows_by_sessions_and_the_most_in_time():
    found = rows("small", RAMP, device="cuda")
    assert [(row.name, row.p50, row.p99, row.n, row.x) for row in found] == [
        ("small, 1 at once", 9.0, 10.0, 100, 1.0),
        ("small, 8 at once", 20.0, 39.0, 800, 8.0),
        ("small, 16 at once", 30.0, None, 1600, 16.0),
        ("small, most within 40 ms", 8, None, 1, None),
    ]


def test_where_not_even_one_is_in_time_the_most_is_none():
    assert rows("s", [step(1, 50.0, 60.0, 70.0)], device="cpu")[-1].p50 == 0


def test_the_rows_survive_a_file_and_are_drawn(tmp_path):
    path = tmp_path / "ramp.json"
    path.write_text(as_json(Run(rows("small", RAMP, device="cpu"))))
    page = report([read_run(path)])
    start = page.index('<svg class="chart"')
    svg = ElementTree.fromstring(page[start : page.index("</svg>", start) + 6])
    assert svg.get("aria-label") == "Latency of a frame"
    assert len(svg.find("polyline").get("points").split()) == 2  # one and eight; beyond, p99 is infinite
