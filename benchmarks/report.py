"""Any number of runs as one HTML page that needs nothing else: charts, then every row side by side."""

import html
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import numpy as np

from benchmarks.compare import MARGIN, Change, Key, by_key, judge
from benchmarks.harness import Row
from benchmarks.page import Cell, Table, as_table, document, number
from benchmarks.plots import STYLE, Axis, Bar, Form, Series, chart, waterfall
from benchmarks.results import Run

DUE_MS: Final = 40.0
KERNELS: Final = "kernels"
COPY: Final = "copy"
SESSIONS: Final = "sessions"
_STAGES: Final = "Medians. Each stage was timed by itself, one behind the other; VP8 encodes one session's picture."
_CALL: Final = (
    "Medians. The server's own stages, from packet to packet, of its newest pictures; a browser was listening."
)
_START: Final = "Medians. Each start is a process of its own."
_LEAST_SAMPLES: Final = 20
_PERCENTILES: Final = (*range(0, 100, 2), 99, 100)
_DASHES: Final[tuple[Form, ...]] = ("line", "dashed", "dotted")
_LAYOUT: Final = (
    "body{max-width:74rem}.wide{overflow-x:auto}details{margin:1rem 0}summary{cursor:pointer;font-weight:600}"
    "h2{margin-top:2.2rem}td,th{white-space:nowrap}.note{opacity:.75;max-width:44rem}"
)


def report(runs: Sequence[Run]) -> str:
    """The page. With several runs, each row of the later ones is judged against the first by `compare`'s rule."""
    labels = _labels(runs)
    chapters = [
        ("Where and when", _machines(runs, labels)),
        ("Latency by stage", _waterfalls("stages", "the sound was complete", _STAGES, runs, labels)),
        ("Latency in a call", _waterfalls("call", "the sound was complete", _CALL, runs, labels)),
        ("From nothing to the first frame", _waterfalls("start", "the process began", _START, runs, labels)),
        ("Sessions against the 99th percentile", _sessions(runs, labels)),
        ("Kernels against copying", _kernels(runs, labels)),
        ("Percentile curves", _curves(runs, labels)),
        ("Every row", _rows(runs, labels)),
        ("Left out", _left_out(runs, labels)),
    ]
    body = "".join(f"<h2>{title}</h2>{text}" for title, text in chapters if text)
    return document(f"visavis bench: {', '.join(labels)}", body, STYLE + _LAYOUT)


def _labels(runs: Sequence[Run]) -> list[str]:
    """The runs' names, with a number where two would be the same."""
    names = [run.label for run in runs]
    return [name if names.count(name) == 1 else f"{name} ({i + 1})" for i, name in enumerate(names)]


def _machines(runs: Sequence[Run], labels: Sequence[str]) -> str:
    facts = list(dict.fromkeys(fact for run in runs for fact in run.environment))
    rows = [(fact, *(run.environment.get(fact, "") for run in runs)) for fact in facts]
    parts = [_wide(as_table(Table(("", *labels), [row for row in rows if any(row[1:])])))]
    for run, label in zip(runs, labels, strict=True):
        states = [(suite, *asdict(state).values()) for suite, state in run.gpu_states.items()]
        if states:
            heads = ("", "SM clock, MHz", "memory clock, MHz", "power, W", "temperature, °C", "memory, MB", "busy, %")
            parts.append(f"<h3>The GPU in {html.escape(label)}</h3>{_wide(as_table(Table(heads, states)))}")
    return "".join(parts)


def _waterfalls(bench: str, since: str, note: str, runs: Sequence[Run], labels: Sequence[str]) -> str:
    """A waterfall for each case: in each run every stage begins where the one before ended."""
    cases = dict.fromkeys(row.case for run in runs for row in run.rows if row.bench == bench)
    rows = [[row for row in run.rows if row.bench == bench] for run in runs]
    return _gallery([_waterfall(case, Axis(f"time since {since}, ms"), rows, labels) for case in cases], note)


def _waterfall(case: str, axis: Axis, runs: Sequence[Sequence[Row]], labels: Sequence[str]) -> str:
    taken = [{row.form: row for row in rows if row.case == case} for rows in runs]
    ends = [0.0] * len(runs)
    bars: list[Bar] = []
    for stage in dict.fromkeys(form for found in taken for form in found):
        for run, found in enumerate(taken):
            if stage in found:
                bars.append(Bar(stage, ends[run], found[stage].p50, run))
                ends[run] += found[stage].p50
    totals = ", ".join(f"{number(end, 3)} ms" for end in ends)
    return waterfall(f"{case}: {totals}", axis, bars, labels)


def _sessions(runs: Sequence[Run], labels: Sequence[str]) -> str:
    """p99 over the number of sessions, a line for each case and run."""
    series: list[Series] = []
    for run, label in zip(runs, labels, strict=True):
        rows = [row for row in run.rows if row.x_unit == SESSIONS and row.x is not None and row.p99 is not None]
        for case in dict.fromkeys(row.case for row in rows):
            points = sorted((row.x, row.p99) for row in rows if row.case == case and row.x and row.p99)
            series.append(Series(f"{case}, {label}", points))
    due = (DUE_MS, f"{DUE_MS:g} ms: the next frame is due")
    sessions, p99 = Axis("sessions", least=0.0), Axis("p99, ms", least=0.0)
    return _gallery([chart("Latency of a frame", sessions, p99, series, due)])


def _kernels(runs: Sequence[Run], labels: Sequence[str]) -> str:
    """Bandwidth over bytes, one chart per run: the roof is what copying as many bytes reached."""
    charts: list[str] = []
    for run, label in zip(runs, labels, strict=True):
        rows = [row for row in run.rows if row.bench == KERNELS and row.x_unit == "bytes" and row.x and row.p50 > 0]
        roof = sorted((row.x / 1e6, _gb_s(row)) for row in rows if row.form == COPY and row.x)
        forms = dict.fromkeys(row.form for row in rows if row.form != COPY)
        series = [Series("roof: copying as many bytes", roof, "dashed")] + [
            Series(
                form,
                [(row.x / 1e6, _gb_s(row)) for row in rows if row.form == form and row.x],
                "dots",
                [f"{row.name}: {_gb_s(row):.4g} GB/s, {row.p50:.4g} ms" for row in rows if row.form == form],
            )
            for form in forms
        ]
        bytes_axis, speed = Axis("bytes that must be moved, MB", log=True), Axis("reached, GB/s", log=True)
        charts.append(chart(f"Memory-bound kernels, {label}", bytes_axis, speed, series if forms else []))
    note = (
        "A point is a kernel: the fewest bytes it must read and write over its median time. Point at it for its name."
    )
    return _gallery(charts, note)


def _gb_s(row: Row) -> float:
    return (row.x or 0.0) / row.p50 / 1e6


def _curves(runs: Sequence[Run], labels: Sequence[str]) -> str:
    """Percentile curves of every case, folded by benchmark."""
    parts: list[str] = []
    for bench in dict.fromkeys(row.bench for run in runs for row in run.rows if _has_curve(row)):
        mine = [[row for row in run.rows if row.bench == bench and _has_curve(row)] for run in runs]
        cases = dict.fromkeys(row.case for rows in mine for row in rows)
        charts = [
            _curves_of(case, [[row for row in rows if row.case == case] for rows in mine], labels) for case in cases
        ]
        parts.append(f"<details open><summary>{html.escape(bench)}</summary>{_gallery(charts)}</details>")
    return "".join(parts)


def _has_curve(row: Row) -> bool:
    return len(row.samples) >= _LEAST_SAMPLES and row.x_unit != SESSIONS  # sessions have a chart of their own


def _curves_of(case: str, runs: Sequence[Sequence[Row]], labels: Sequence[str]) -> str:
    """The curves of one case in each run: a form has its colour, a run its dashes."""
    forms = list(dict.fromkeys(row.form for rows in runs for row in rows))
    series = [
        _percentiles(
            row.form if len(runs) == 1 else f"{row.form}, {label}",
            row,
            _DASHES[min(at, len(_DASHES) - 1)],
            forms.index(row.form),
        )
        for at, (rows, label) in enumerate(zip(runs, labels, strict=True))
        for row in rows
    ]
    return chart(case, _PERCENT, Axis("time, ms", log=True), series)


_PERCENT: Final = Axis("percent of the calls that took no longer", ticks=[(p, str(p)) for p in (0, 25, 50, 75, 95)])


def _percentiles(name: str, row: Row, form: Form, colour: int) -> Series:
    levels = np.percentile(row.samples, _PERCENTILES)
    points = [(float(p), float(level)) for p, level in zip(_PERCENTILES, levels, strict=True)]
    return Series(name, points, form, colour=colour)


def _rows(runs: Sequence[Run], labels: Sequence[str]) -> str:
    """A table for each benchmark: p50, p95 and p99 of every run, and the verdict on the later ones."""
    tables = [by_key(run) for run in runs]
    keys = list(dict.fromkeys(key for rows in tables for key in rows))
    heads = ["", "unit", *(f"{label} / {labels[0]}" for label in labels[1:]), "promised"]
    heads += [f"{label}: {part}" for label in labels for part in ("p50", "p95", "p99")]
    parts: list[str] = []
    for bench in dict.fromkeys(key[0] for key in keys):
        mine = [key for key in keys if key[0] == bench]
        missed = [any(rows[key].holds is False for rows in tables if key in rows) for key in mine]
        table = as_table(Table(heads, [_line(key, tables) for key in mine]), missed)
        parts.append(f"<details open><summary>{html.escape(bench)}</summary>{_wide(table)}</details>")
    note = (
        "Red rows miss a promise. A ratio is judged as `visavis bench --compare` does: beyond noise if the 99 % "
        f"interval of the ratio of medians lies more than {100 * MARGIN:g} % away from 1."
    )
    return f'<p class="note">{note if len(runs) > 1 else "Red rows miss a promise."}</p>{"".join(parts)}'


def _line(key: Key, tables: Sequence[dict[Key, Row]]) -> list[Cell]:
    found = [rows.get(key) for rows in tables]
    first = next(row for row in found if row is not None)
    cells: list[Cell] = [first.name, first.unit]
    for row in found[1:]:
        cells.append(None if row is None or found[0] is None else _verdict(judge(found[0], row)))
    cells.append("" if first.limit is None else f"{first.limit_of} at {first.bound} {first.limit:g}")
    for row in found:
        cells += [None] * 3 if row is None else [row.p50, row.p95, row.p99]
    return cells


def _verdict(change: Change) -> str:
    return f"{change.ratio:.3f} {'' if change.verdict in ('same', 'unjudged') else change.verdict}".strip()


def _left_out(runs: Sequence[Run], labels: Sequence[str]) -> str:
    items = [
        f"<li>{html.escape(f'{label}: {part.suite}, {part.part}: ')}{'FAILED: ' if part.failed else ''}"
        f"{html.escape(part.why)}</li>"
        for run, label in zip(runs, labels, strict=True)
        for part in run.left_out
    ]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _gallery(charts: Sequence[str], note: str = "") -> str:
    drawn = [drawing for drawing in charts if drawing]
    if not drawn:
        return ""
    said = f'<p class="note">{note}</p>' if note else ""
    return f'{said}<div class="charts">{"".join(drawn)}</div>'


def _wide(table: str) -> str:
    return f'<div class="wide">{table}</div>'
