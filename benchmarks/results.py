"""Runs on disk: JSON with every sample, CSV with a line per row; and as a table for people."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import ResultsFileError
from benchmarks.harness import Row
from benchmarks.machine import environment
from benchmarks.nvml import GpuState
from benchmarks.page import number

RESULTS_DIR: Final = Path(__file__).parent / "results"
FORMAT: Final = "visavis bench 2"
_WANT: Final = f"JSON that `visavis bench --out` wrote ({FORMAT})"
_TEXTS: Final = ("bench", "name", "unit", "limit_of", "bound", "device", "x_unit")
_NUMBERS: Final = ("p50", "p95", "p99", "limit", "x")
_CHOICES: Final = {"limit_of": ("p50", "p95", "p99"), "bound": ("most", "least"), "device": ("cpu", "cuda")}
_REQUIRED: Final = ("bench", "name", "unit", "p50", "n")


@dataclass(frozen=True)
class LeftOut:
    """A part that gave no rows: skipped, or failed."""

    suite: str
    part: str
    why: str
    failed: bool


@dataclass(frozen=True)
class Run:
    """Everything that one call of the bench found.

    Attributes:
        rows: In the order in which they were measured.
        environment: The machine, as `machine.environment` gave it when the run began.
        gpu_states: What the GPU did during each suite; empty where nobody tells.
        left_out: What was to be measured and was not.
        label: What a report calls the run: its file's name.
    """

    rows: list[Row] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=environment)
    gpu_states: dict[str, GpuState] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    label: str = "this run"


def save_csv(run: Run, directory: Path | None = None) -> None:
    """Append the rows to `<bench>.csv`, each with the machine it was measured on and what the GPU did.

    Blanks in a bench's name become dashes. The files lie in `directory`, or in `RESULTS_DIR`.

    Raises:
        ResultsFileError: If a file has other columns.
    """
    for row in run.rows:
        path = (directory or RESULTS_DIR) / f"{row.bench.replace(' ', '-')}.csv"
        state = run.gpu_states.get(row.bench, GpuState())
        told = {f"gpu_{name}": value for name, value in asdict(state).items()}
        line = {**_plain(row), **run.environment, **told}
        fresh = not path.exists()
        if not fresh:
            _check_columns(path, list(line))
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, line.keys(), lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerow(line)


def as_json(run: Run) -> str:
    """A run as one JSON object: what `read_run` reads."""
    results = [{**asdict(row), "holds": row.holds} for row in run.rows]
    whole = {
        "format": FORMAT,
        "environment": run.environment,
        "gpu_states": {suite: asdict(state) for suite, state in run.gpu_states.items()},
        "left_out": [asdict(part) for part in run.left_out],
        "results": results,
    }
    return json.dumps(whole, indent=1)


def read_run(path: Path) -> Run:
    """Read what `as_json` gave.

    Raises:
        ResultsFileError: If the file is damaged, or something else.
        OSError: If it cannot be read.
    """
    try:
        whole = json.loads(path.read_bytes())
    except ValueError as error:
        raise ResultsFileError(path, f"no JSON: {error}", _WANT) from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        found = whole.get("format") if isinstance(whole, dict) else None
        raise ResultsFileError(path, f"format {found!r}", _WANT)
    try:
        return Run(
            [_row(entry) for entry in whole["results"]],
            {str(key): str(value) for key, value in whole["environment"].items()},
            {str(suite): GpuState(**state) for suite, state in whole["gpu_states"].items()},
            [LeftOut(**part) for part in whole["left_out"]],
            path.stem,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ResultsFileError(path, f"a damaged file ({type(error).__name__}: {error})", _WANT) from None


def as_table(rows: Sequence[Row]) -> str:
    """Rows for people."""

    def cell(value: float | None) -> str:
        return f"{'-' if value is None else number(value):>9}"

    width = max([40, *(len(row.name) + 2 for row in rows)])

    def line(row: Row) -> str:
        verdict = "" if row.limit is None else f"  {'ok' if row.holds else 'MISSED'}, at {row.bound} {row.limit:g}"
        return f"{row.name:<{width}}{cell(row.p50)}{cell(row.p95)}{cell(row.p99)} {row.unit:<8} n={row.n}{verdict}"

    return "\n".join([f"{'':<{width}}{'p50':>9}{'p95':>9}{'p99':>9}", *map(line, rows)])


def _plain(row: Row) -> dict[str, Any]:
    return {field.name: getattr(row, field.name) for field in fields(row) if field.name != "samples"}


def _row(entry: Mapping[str, Any]) -> Row:
    """One entry of `results`, checked: whoever reads it later may rely on its types."""
    if missing := [name for name in _REQUIRED if name not in entry]:
        raise ValueError(f"a row without {', '.join(missing)}")
    known: dict[str, Any] = {field.name: entry[field.name] for field in fields(Row) if field.name in entry}
    for name in _TEXTS:
        if not isinstance(known.get(name, ""), str):
            raise ValueError(f"{name} is {known[name]!r}, no text")
    for name, allowed in _CHOICES.items():
        if known.get(name, allowed[0]) not in allowed:
            raise ValueError(f"{name} is {known[name]!r}, none of {', '.join(allowed)}")
    for name in _NUMBERS:
        _check_number(name, known.get(name))
    samples = tuple(known.get("samples", ()))
    for value in samples:
        _check_number("a sample", value)
    if known["p50"] is None or None in samples:
        raise ValueError("a value is missing")
    known["samples"] = samples
    return Row(**known)


def _check_number(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, no number")


def _check_columns(path: Path, columns: list[str]) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        found = next(csv.reader(file), [])
    if found != columns:
        differ = sorted(set(found) ^ set(columns)) or ["their order"]
        raise ResultsFileError(
            path, f"other columns ({', '.join(differ)})", "the columns of this version: move the old file away"
        )
