"""Charts as inline SVG, light and dark, readable on a narrow screen. Colours are classes of `STYLE`."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from benchmarks.page import number

WIDTH: Final = 520
HEIGHT: Final = 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 30, 44
_BAR: Final = 22
_TICKS: Final = 5
_LEAST_TICKS: Final = 3
_FEW_DECADES: Final = 4
_COLOURS: Final = 8
STYLE: Final = (
    "svg.chart{width:100%;max-width:520px;height:auto;font:12px system-ui,sans-serif}"
    "svg.chart text{fill:currentColor}svg.chart .title{font-weight:600}"
    "svg.chart .grid{stroke:currentColor;opacity:.15}svg.chart .bound{stroke:currentColor;stroke-dasharray:6 4}"
    ":root{--c0:#1763b6;--c1:#c8501e;--c2:#1c8045;--c3:#8a3fa0;--c4:#a87a00;--c5:#c22b5f;--c6:#0b7f8c;--c7:#6b6b6b}"
    "@media(prefers-color-scheme:dark){:root{--c0:#6db3ff;--c1:#ff9b6b;--c2:#63d08d;--c3:#d492ea;--c4:#e6bd4b;"
    "--c5:#ff86ab;--c6:#58d0dd;--c7:#b0b0b0}}"
    + "".join(f".s{i}{{stroke:var(--c{i});fill:var(--c{i})}}" for i in range(_COLOURS))
    + "svg.chart .line{fill:none;stroke-width:2}.dashed{stroke-dasharray:6 4}.dotted{stroke-dasharray:2 3}"
    ".legend{display:flex;flex-wrap:wrap;gap:.1rem 1rem;max-width:520px;font-size:12px}"
    ".legend i{display:inline-block;width:.8em;height:.8em;margin-right:.4em;border-radius:2px}"
    ".legend .dashed,.legend .dotted{height:0;width:1.6em;border-radius:0;vertical-align:middle;border-top-width:3px}"
    ".legend .dashed{border-top-style:dashed}.legend .dotted{border-top-style:dotted}"
    + "".join(
        f".legend .s{i}{{background:var(--c{i})}}.legend .s{i}.dashed,.legend .s{i}.dotted{{background:none;"
        f"border-color:var(--c{i})}}"
        for i in range(_COLOURS)
    )
    + ".charts{display:flex;flex-wrap:wrap;gap:1.5rem}figure{margin:0;flex:0 1 520px;min-width:0}"
)

Point = tuple[float, float]
Ticks = Sequence[tuple[float, str]]
Form = Literal["line", "dashed", "dotted", "dots"]


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: What it shows, with the unit.
        log: Whether equal steps are equal factors.
        least: The axis reaches at least down to here; None leaves it to the data.
        most: The axis reaches at least up to here.
        ticks: Places and texts of the marks; empty leaves them to the chart.
    """

    label: str
    log: bool = False
    least: float | None = None
    most: float | None = None
    ticks: Ticks = ()


@dataclass(frozen=True)
class Series:
    """Points of one colour, joined or not.

    Attributes:
        name: For the legend.
        points: (x, y).
        form: How they are drawn.
        texts: What shows when a dot is pointed at.
        colour: 0 to 7, or beyond, which begins anew; None takes the series' place in the chart.
    """

    name: str
    points: Sequence[Point]
    form: Form = "line"
    texts: Sequence[str] = ()
    colour: int | None = None


@dataclass(frozen=True)
class Bar:
    """One bar of a waterfall: from `start` on, `length` long."""

    label: str
    start: float
    length: float
    colour: int = 0


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    log: bool
    begin: float
    end: float

    def at(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.begin + (value - low) / (high - low) * (self.end - self.begin)


def chart(title: str, x: Axis, y: Axis, series: Sequence[Series], bound: tuple[float, str] | None = None) -> str:
    """Curves and points with a legend; `bound` draws a level across, with its text.

    Series without a point are left out; on a logarithmic axis so are points that are not positive.
    """
    series = [drawn for drawn in (_drawable(one, x, y) for one in series) if drawn.points]
    if not series:
        return ""
    across = _scale(x, [p[0] for one in series for p in one.points], _LEFT, WIDTH - _RIGHT)
    levels = [p[1] for one in series for p in one.points] + ([] if bound is None else [bound[0]])
    up = _scale(y, levels, HEIGHT - _BOTTOM, _TOP)
    parts = [_grid(across, up, x, y)]
    if bound is not None:
        level = up.at(bound[0])
        parts.append(f'<line class="bound" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>')
        parts.append(_text(WIDTH - _RIGHT, level - 4, bound[1], "end"))
    marks = [_mark(one.form, i if one.colour is None else one.colour) for i, one in enumerate(series)]
    parts += [_curve(one, mark, across, up) for one, mark in zip(series, marks, strict=True)]
    return _figure(title, HEIGHT, "".join(parts), [(one.name, mark) for one, mark in zip(series, marks, strict=True)])


def waterfall(title: str, axis: Axis, bars: Sequence[Bar], legend: Sequence[str] = ()) -> str:
    """Bars under each other, each beginning where its own `start` says; `legend` names the colours."""
    if not bars:
        return ""
    left = max(_LEFT, 12 + 7.5 * max(len(bar.label) for bar in bars))
    height = _TOP + _BAR * len(bars) + _BOTTOM
    across = _scale(axis, [0.0, *(bar.start + bar.length for bar in bars)], left, WIDTH - 60)
    parts: list[str] = []
    for value, text in _ticks(across, axis):
        place = across.at(value)
        parts.append(f'<line class="grid" x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP}" y2="{height - _BOTTOM}"/>')
        parts.append(_text(place, height - _BOTTOM + 15, text, "middle"))
    parts.append(_text((left + WIDTH - 60) / 2, height - 8, axis.label, "middle"))
    for row, bar in enumerate(bars):
        top = _TOP + _BAR * row
        begin, end = across.at(bar.start), across.at(bar.start + bar.length)
        shape = f'x="{begin:.1f}" y="{top + 3}" width="{max(1.0, end - begin):.1f}" height="{_BAR - 6}"'
        parts.append(f'<rect class="{_mark("dots", bar.colour)}" {shape} rx="2"/>')
        parts.append(_text(left - 6, top + _BAR / 2 + 4, bar.label, "end"))
        parts.append(_text(end + 5, top + _BAR / 2 + 4, number(bar.length, 3), "start"))
    return _figure(title, height, "".join(parts), [(name, _mark("line", i)) for i, name in enumerate(legend)])


def _drawable(series: Series, x: Axis, y: Axis) -> Series:
    kept = [
        (point, series.texts[i] if i < len(series.texts) else "")
        for i, point in enumerate(series.points)
        if not (x.log and point[0] <= 0) and not (y.log and point[1] <= 0)
    ]
    return replace(series, points=[point for point, _ in kept], texts=[text for _, text in kept])


def _mark(form: Form, colour: int) -> str:
    """The classes that give a series its looks."""
    return f"s{colour % _COLOURS}" + (f" {form}" if form in ("dashed", "dotted") else "")


def _scale(axis: Axis, values: Sequence[float], begin: float, end: float) -> _Scale:
    low = min(values) if axis.least is None else min(*values, axis.least)
    high = max(values) if axis.most is None else max(*values, axis.most)
    if axis.log:
        return _Scale(low / 1.15, high * 1.15, True, begin, end)
    return _Scale(low, high + (0.05 * (high - low) or 1.0), False, begin, end)


def _ticks(scale: _Scale, axis: Axis) -> Ticks:
    if axis.ticks:
        return [tick for tick in axis.ticks if scale.low <= tick[0] <= scale.high]
    values = _factors(scale) if scale.log else []
    if len(values) < _LEAST_TICKS:
        values = _steps(scale)
    return [(value, number(value)) for value in values]


def _factors(scale: _Scale) -> list[float]:
    """1, 2 and 5 of each decade that a logarithmic scale shows, or only its powers of ten."""
    decades = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    steps = (1, 2, 5) if len(decades) <= _FEW_DECADES else (1,)
    return [v for decade in decades for v in (step * 10.0**decade for step in steps) if scale.low <= v <= scale.high]


def _steps(scale: _Scale) -> list[float]:
    """Round numbers, some five of them, all as far from each other."""
    rough = (scale.high - scale.low) / _TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first = math.ceil(scale.low / step)
    return [v for v in (step * (first + i) for i in range(2 * _TICKS)) if v <= scale.high]


def _grid(across: _Scale, up: _Scale, x: Axis, y: Axis) -> str:
    bottom = HEIGHT - _BOTTOM
    parts: list[str] = []
    for value, text in _ticks(across, x):
        place = across.at(value)
        parts.append(f'<line class="grid" x1="{place:.1f}" x2="{place:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(_text(place, bottom + 15, text, "middle"))
    for value, text in _ticks(up, y):
        level = up.at(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>')
        parts.append(_text(_LEFT - 6, level + 4, text, "end"))
    parts.append(_text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 8, x.label, "middle"))
    middle = (_TOP + bottom) / 2
    turned = f'transform="rotate(-90 14 {middle:g})"'
    return "".join(parts) + _text(14, middle, y.label, "middle", turned)


def _curve(series: Series, mark: str, across: _Scale, up: _Scale) -> str:
    places = [(across.at(x), up.at(y)) for x, y in series.points]
    if series.form == "dots":
        pairs = zip(places, series.texts, strict=True)
        return "".join(
            f'<circle class="{mark}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{html.escape(text)}</title></circle>'
            for (x, y), text in pairs
        )
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline class="{mark} line" points="{path}"/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{html.escape(text)}</text>'


def _figure(title: str, height: float, inner: str, legend: Sequence[tuple[str, str]]) -> str:
    name = html.escape(title)
    svg = (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{name}">'
        f'<text class="title" x="0" y="16">{name}</text>{inner}</svg>'
    )
    items = "".join(f'<span><i class="{mark}"></i>{html.escape(text)}</span>' for text, mark in legend)
    return f'<figure>{svg}<div class="legend">{items}</div></figure>'
