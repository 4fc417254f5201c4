"""The results of `visavis eval` as one HTML page that needs nothing else: numbers, plots and strips."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.page import Table, as_table, document
from benchmarks.quality.controls import Sweep
from benchmarks.quality.meter import Picture

PLOT_PX: Final = 150
MOST_MS: Final = 200


@dataclass(frozen=True)
class Line:
    """One number of one face.

    Attributes:
        name: What was measured, with its unit.
        value: None where it could not be told.
        most: The bar it should stay under; None if there is none.
        least: The bar it should reach.
        note: What else is to be said.
    """

    name: str
    value: float | None
    most: float | None = None
    least: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bar is met; None without a bar or a value."""
        if self.value is None or (self.most is None and self.least is None):
            return None
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    @property
    def bar(self) -> str:
        """The bar in words; empty if there is none."""
        if self.most is not None:
            return f"at most {self.most:g}"
        return "" if self.least is None else f"at least {self.least:g}"


@dataclass(frozen=True)
class Curve:
    """A number over the look-ahead dial; None where it could not be told."""

    name: str
    lookahead_ms: Sequence[int]
    values: Sequence[float | None]


@dataclass(frozen=True)
class Chapter:
    """What the page says of one photo, of all of them, or of the truth; strips are rows of pictures at full size."""

    title: str
    lines: Sequence[Line] = ()
    sweeps: Sequence[Sweep] = ()
    curves: Sequence[Curve] = ()
    tables: Sequence[Table] = ()
    strips: Sequence[Sequence[Picture]] = ()


def page(title: str, chapters: Sequence[Chapter], refused: Sequence[tuple[str, str]]) -> str:
    """The whole page."""
    body: list[str] = []
    if refused:
        items = "".join(f"<li>{html.escape(name)}: {html.escape(reason)}</li>" for name, reason in refused)
        body.append(f"<h2>Refused photos</h2><ul>{items}</ul>")
    for chapter in chapters:
        plots = [*map(_plot, chapter.sweeps), *map(_curve, chapter.curves)]
        parts = [*map(_strip, chapter.strips), _lines(chapter.lines), *map(as_table, chapter.tables)]
        body.append(f"<h2>{html.escape(chapter.title)}</h2>{''.join(parts)}<p>{''.join(plots)}</p>")
    return document(title, "".join(body))


def _lines(lines: Sequence[Line]) -> str:
    if not lines:
        return ""
    rows = [(line.name, line.value, line.bar, line.note) for line in lines]
    return as_table(Table(("measured", "value", "bar", ""), rows), [line.holds is False for line in lines])


def _strip(pictures: Sequence[Picture]) -> str:
    out = io.BytesIO()
    Image.fromarray(np.concatenate(pictures, axis=1)).save(out, "JPEG", quality=95)
    data = base64.b64encode(out.getvalue()).decode()
    return f'<p><img alt="" src="data:image/jpeg;base64,{data}"></p>'


def _plot(sweep: Sweep) -> str:
    """Commanded against measured, with the diagonal."""
    span = 1.25 * max(abs(v) for v in sweep.commanded)

    def at(value: float) -> float:
        return PLOT_PX * (0.5 + value / (2 * span))

    points = sorted(zip([*sweep.commanded, 0.0], [*sweep.measured, 0.0], strict=True))
    diagonal = f'<line x1="0" y1="{PLOT_PX}" x2="{PLOT_PX}" y2="0" stroke-dasharray="3" opacity=".5"/>'
    places = [(at(x), PLOT_PX - at(y)) for x, y in points]
    return _svg(places, f"{sweep.control}, to ±{span:.3g}", diagonal)


def _curve(curve: Curve) -> str:
    """Over 0 to 200 ms, from 0 (or the least value) to 1 (or the greatest)."""
    known = [(x, y) for x, y in zip(curve.lookahead_ms, curve.values, strict=True) if y is not None]
    low, high = min([0.0, *(y for _, y in known)]), max([1.0, *(y for _, y in known)])
    places = [(PLOT_PX * x / MOST_MS, PLOT_PX * (high - y) / (high - low)) for x, y in known]
    return _svg(places, f"{curve.name}, {low:.3g} to {high:.3g}")


def _svg(places: Sequence[tuple[float, float]], label: str, behind: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places)
    return (
        f'<svg width="{PLOT_PX + 60}" height="{PLOT_PX + 20}" stroke="currentColor" fill="none">'
        f'<rect width="{PLOT_PX}" height="{PLOT_PX}" opacity=".3"/>{behind}<polyline points="{path}"/>{dots}'
        f'<text x="0" y="{PLOT_PX + 15}" fill="currentColor" stroke="none" font-size="12">{html.escape(label)}</text>'
        "</svg>"
    )
