import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from benchmarks.harness import latency, latency_row, value_row
from benchmarks.nvml import GpuState
from benchmarks.plots import Axis, Bar, Series, chart, waterfall
from benchmarks.report import report
from benchmarks.results import LeftOut, Run

MACHINE = {"cpu": "a <cpu>", "gpu": "", "torch": "2.13"}


def figures(page):
    """Every chart: its title, its SVG as a tree."""
    texts = re.findall(r"<svg class=\"chart\".*?</svg>", page, re.S)
    return {svg.get("aria-label"): svg for svg in map(ElementTree.fromstring, texts)}


def texts(svg):
    return [node.text for node in svg.iter("text")]


def corners(line):
    return [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]


def test_equal_steps_on_a_logarithmic_axis_are_equal_factors():
    x, y = Axis("bytes, MB", log=True), Axis("speed, GB/s", log=True)
    svg = figures(chart("c", x, y, [Series("s", [(1.0, 1.0), (10.0, 100.0), (100.0, 10_000.0)])]))["c"]
    (x0, y0), (x1, y1), (x2, y2) = corners(svg.find("polyline"))
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert y0 > y2  # up is more
    assert {"bytes, MB", "speed, GB/s", "10"} <= set(texts(svg))


def test_a_bound_lies_where_its_value_is():
    y = Axis("p99, ms", least=0.0)
    svg = figures(chart("c", Axis("sessions"), y, [Series("s", [(1.0, 20.0), (2.0, 60.0)])], (40.0, "due")))["c"]
    (_, low), (_, high) = corners(svg.find("polyline"))
    bound = next(node for node in svg.iter("line") if node.get("class") == "bound")
    assert float(bound.get("y1")) == pytest.approx((low + high) / 2, abs=0.2)


def test_what_a_logarithmic_axis_cannot_show_is_left_out():
    axis = Axis("x", log=True)
    series = [Series("dots", [(0.0, 1.0), (2.0, 3.0)], "dots", ["nothing", "something"])]
    svg = figures(chart("c", axis, axis, series))["c"]
    assert [node.find("title").text for node in svg.iter("circle")] == ["something"]
    assert chart("c", axis, axis, [Series("none", [(0.0, 1.0)])]) == ""


def test_bars_of_a_waterfall_begin_where_they_say():
    svg = figures(waterfall("w", Axis("time, ms"), [Bar("a", 0.0, 3.0), Bar("b", 3.0, 1.0)]))["w"]
    first, second = ((float(r.get("x")), float(r.get("width"))) for r in svg.iter("rect"))
    assert second[0] == pytest.approx(first[0] + first[1], abs=0.2)
    assert first[1] == pytest.approx(3 * second[1], abs=0.2)


@pytest.fixture(scope="module")
def runs():
    steps = [1.0 + i % 10 / 100 for i in range(40)]

    def run(label, factor):
        def timed(bench, name, ms, **more):
            return latency_row(bench, name, latency([ms * factor * step for step in steps]), **more)

        rows = [
            timed("stages", "face, batch 1, features", 1.0),
            timed("stages", "face, batch 1, painter", 4.0),
            timed("call", "newest pictures, receive", 2.0),
            timed("call", "newest pictures, queue", 1.0),
            timed("start", "eager, caches kept, import torch", 900.0),
            timed("start", "eager, caches kept, first frame", 100.0),
            timed("kernels", "warp, batch 1, ours", 2.0, x=1e6, x_unit="bytes"),
            timed("kernels", "warp, batch 1, copy", 1.0, x=1e6, x_unit="bytes"),
            timed("sessions", "face, 8", 10.0, x=8.0, x_unit="sessions"),
            timed("sessions", "face, 16", 35.0, x=16.0, x_unit="sessions"),
            value_row("server", "resident <MB>", "MB", 1300.0, 1200.0),
        ]
        left = [LeftOut("parity", "splat, float16", "needs a GPU", failed=False)]
        return Run(rows, MACHINE, {"kernels": GpuState(power_w=612.0)}, left, label)

    return [run("old & tired", 1.0), run("new", 1.3)]


def test_stages_of_each_run_follow_each_other(runs):
    svg = figures(report(runs))["face, batch 1: 5.22 ms, 6.79 ms"]
    bars = [(float(rect.get("x")), float(rect.get("width"))) for rect in svg.iter("rect")]
    assert texts(svg)[-4:] == ["painter", "4.18", "painter", "5.43"]
    old_features, new_features, old_painter, new_painter = bars
    assert old_painter[0] == pytest.approx(sum(old_features), abs=0.2)
    assert new_painter[0] == pytest.approx(sum(new_features), abs=0.2)


@pytest.mark.parametrize(
    ("title", "since"),
    [
        ("eager, caches kept: 1045 ms", "time since the process began, ms"),
        ("newest pictures: 3.13 ms", "time since the sound was complete, ms"),
    ],
)
def test_cold_starts_and_calls_are_waterfalls_too(runs, title, since):
    svg = figures(report(runs[:1]))[title]
    assert since in texts(svg)
    first, second = ((float(rect.get("x")), float(rect.get("width"))) for rect in svg.iter("rect"))
    assert second[0] == pytest.approx(sum(first), abs=0.2)


def test_a_kernel_at_half_the_speed_of_copying_lies_under_the_roof(runs):
    svg = figures(report(runs[:1]))["Memory-bound kernels, old & tired"]
    dot = next(svg.iter("circle"))
    assert dot.find("title").text.startswith("warp, batch 1, ours: 0.4785 GB/s")
    ((_, roof),) = corners(svg.find("polyline"))
    assert float(dot.get("cy")) > roof


def test_sessions_are_drawn_against_the_99th_percentile(runs):
    svg = figures(report(runs))["Latency of a frame"]
    assert len(list(svg.iter("polyline"))) == 2
    assert {"sessions", "p99, ms", "40 ms: the next frame is due"} <= set(texts(svg))


def test_later_runs_are_judged_against_the_first(runs):
    page = report(runs)
    row = next(line for line in page.split("<tr") if "face, batch 1, painter" in line and "ms" in line)
    assert "<td>1.300 worse</td>" in row
    assert "worse" not in report([runs[0], replace(runs[0], label="again")])


def test_every_row_every_machine_and_what_was_left_out_is_on_the_page(runs):
    page = report(runs)
    for said in (
        "a &lt;cpu&gt;",
        "resident &lt;MB&gt;",
        "warp, batch 1, copy",
        "needs a GPU",
        "612",
        "old &amp; tired",
    ):
        assert said in page
    assert '<tr class="missed"><td>resident' in page
    assert "<cpu>" not in page


def test_the_page_needs_nothing_else(runs):
    assert re.findall(r"(?:src|href)=|https?:|@import|url\(", report(runs)) == []
