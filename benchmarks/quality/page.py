"""The results of `visavis eval` as one HTML page that needs nothing else: numbers, plots and strips."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.quality.controls import Sweep
from benchmarks.quality.meter import Picture

PLOT_PX: Final = 150
MISSED: Final = ' class="missed"'
_STYLE: Final = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}
table{border-collapse:collapse}td,th{padding:.15rem .8rem;text-align:right;border-bottom:1px solid #8884}
th:first-child,td:first-child{text-align:left}.missed{color:#b00}img{max-width:100%}svg{margin-right:.5rem}
:root{color-scheme:light dark}"""


@dataclass(frozen=True)
class Line:
    """One number of one face.

    Attributes:
        name: What was measured, with its unit.
        value: None where it could not be told.
        most: The bar it should stay under; None if there is none.
        least: The bar it should reach.
    """

    name: str
    value: float | None
    most: float | None = None
    least: float | None = None

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
class Chapter:
    """What the page says of one photo."""

    title: str
    lines: Sequence[Line]
    sweeps: Sequence[Sweep]
    strips: Sequence[Sequence[Picture]]


def page(title: str, chapters: Sequence[Chapter], refused: Sequence[tuple[str, str]]) -> str:
    """The whole page."""
    body = [f"<h1>{html.escape(title)}</h1>"]
    if refused:
        items = "".join(f"<li>{html.escape(name)}: {html.escape(reason)}</li>" for name, reason in refused)
        body.append(f"<h2>Refused photos</h2><ul>{items}</ul>")
    for chapter in chapters:
        plots = "".join(_plot(sweep) for sweep in chapter.sweeps)
        strips = "".join(_strip(strip) for strip in chapter.strips)
        body.append(f"<h2>{html.escape(chapter.title)}</h2>{strips}{_table(chapter.lines)}<p>{plots}</p>")
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def _table(lines: Sequence[Line]) -> str:
    rows = [
        f"<tr{MISSED if line.holds is False else ''}><td>{html.escape(line.name)}</td>"
        f"<td>{'-' if line.value is None else f'{line.value:g}'}</td><td>{line.bar}</td></tr>"
        for line in lines
    ]
    return f"<table><tr><th>measured</th><th>value</th><th>bar</th></tr>{''.join(rows)}</table>"


def _strip(pictures: Sequence[Picture]) -> str:
    out = io.BytesIO()
    Image.fromarray(np.concatenate(pictures, axis=1)).save(out, "JPEG", quality=90)
    data = base64.b64encode(out.getvalue()).decode()
    return f'<p><img alt="" src="data:image/jpeg;base64,{data}"></p>'


def _plot(sweep: Sweep) -> str:
    """Commanded against measured, with the diagonal."""
    span = 1.25 * max(abs(v) for v in sweep.commanded_deg)

    def at(value: float) -> float:
        return PLOT_PX * (0.5 + value / (2 * span))

    points = sorted(zip([*sweep.commanded_deg, 0.0], [*sweep.measured_deg, 0.0], strict=True))
    path = " ".join(f"{at(x):.1f},{PLOT_PX - at(y):.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{at(x):.1f}" cy="{PLOT_PX - at(y):.1f}" r="3"/>' for x, y in points)
    return (
        f'<svg width="{PLOT_PX}" height="{PLOT_PX + 20}" stroke="currentColor" fill="none">'
        f'<rect width="{PLOT_PX}" height="{PLOT_PX}" opacity=".3"/>'
        f'<line x1="0" y1="{PLOT_PX}" x2="{PLOT_PX}" y2="0" stroke-dasharray="3" opacity=".5"/>'
        f'<polyline points="{path}"/>{dots}'
        f'<text x="4" y="{PLOT_PX + 15}" fill="currentColor" stroke="none" font-size="12">'
        f"{html.escape(sweep.control)}, ±{span:.0f}°</text></svg>"
    )
