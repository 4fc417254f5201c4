"""What changed between two runs beyond noise.

The rule. Rows of the same benchmark, name, unit and device are compared by the ratio of their medians, B over A. Each
row's samples, in the order in which they were taken, are cut into ten blocks; blocks are drawn with replacement, 1000
times, and the middle 99 % of the ratios is the interval. Whole blocks, because neighbouring samples share their luck:
a slow second of the machine is one piece of bad luck, not a hundred. A row has changed if the whole interval lies more
than 3 % away from 1. What differs between whole runs, such as a busier machine, is in no sample of either: the
yardstick, work that never changes, shows it. Where that has changed, run again.

Source: Künsch, "The jackknife and the bootstrap for general stationary observations", Annals of Statistics 17, 1989
(blocks of consecutive observations drawn with replacement; here they do not overlap).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Row
from benchmarks.page import number
from benchmarks.results import Run
from benchmarks.yardstick import BENCH as YARDSTICK

Verdict = Literal["better", "worse", "changed", "same", "unjudged"]
Key = tuple[str, str, str, str]

BLOCKS: Final = 10
DRAWS: Final = 1000
CONFIDENCE_PERCENT: Final = 99.0
MARGIN: Final = 0.03
LEAST_SAMPLES: Final = 20
_LESS_IS_BETTER: Final = frozenset({"ms", "s", "MB"})
_MARKS: Final[dict[Verdict, str]] = {
    "better": "+ better",
    "worse": "- WORSE",
    "changed": "* changed",
    "same": "  same",
    "unjudged": "? too few samples, or 0",
}


@dataclass(frozen=True)
class Change:
    """One row in both runs.

    Attributes:
        a: In the first.
        b: In the second.
        low: Lower end of the interval of the ratio of medians, B / A; None where there are too few samples, or A is 0.
        high: Its upper end.
        verdict: "changed" where nothing says which way is better.
    """

    a: Row
    b: Row
    low: float | None
    high: float | None
    verdict: Verdict

    @property
    def ratio(self) -> float:
        """B / A of the medians; NaN where A is 0."""
        return self.b.p50 / self.a.p50 if self.a.p50 else float("nan")


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        changes: Rows in both, in the order of A.
        only_a: Names of rows that only A has.
        only_b: Names of rows that only B has.
        around: What of the machines differs, "torch: 2.11 -> 2.13".
    """

    changes: list[Change]
    only_a: list[str]
    only_b: list[str]
    around: list[str]


def compare(a: Run, b: Run) -> Comparison:
    """Compare two runs by the rule above."""
    rows_a, rows_b = by_key(a), by_key(b)
    changes = [judge(row, rows_b[key]) for key, row in rows_a.items() if key in rows_b]
    return Comparison(
        changes,
        [_title(key) for key in rows_a if key not in rows_b],
        [_title(key) for key in rows_b if key not in rows_a],
        _differences(a.environment, b.environment),
    )


def judge(a: Row, b: Row) -> Change:
    """Compare one row with itself in another run, by the rule above. The same rows always draw the same blocks."""
    random = np.random.default_rng(0)
    if min(len(a.samples), len(b.samples)) < LEAST_SAMPLES:
        return Change(a, b, None, None, "unjudged")
    medians_a, medians_b = _medians(a.samples, random), _medians(b.samples, random)
    if not medians_a.min() > 0:
        return Change(a, b, None, None, "unjudged")
    ratios = medians_b / medians_a
    tail = (100.0 - CONFIDENCE_PERCENT) / 2
    low, high = (float(end) for end in np.percentile(ratios, (tail, 100.0 - tail)))
    return Change(a, b, low, high, _verdict(a, low, high))


def as_text(comparison: Comparison) -> str:
    """For people: what differs around it, what changed, then the rest."""
    told = sorted(comparison.changes, key=lambda change: list(_MARKS).index(change.verdict))
    moved = [change for change in told if change.verdict in ("better", "worse", "changed")]
    width = max([30, *(len(_label(change.a)) for change in told)])
    lines = [f"{'machine:':<10}{difference}" for difference in comparison.around]
    lines += [_warning(change) for change in told if change.a.bench == YARDSTICK and change in moved]
    lines.append(f"{len(moved)} of {len(told)} rows changed beyond noise ({CONFIDENCE_PERCENT:g} % interval of the")
    lines[-1] += f" ratio of medians more than {100 * MARGIN:g} % away from 1)"
    lines.append(f"{'':<{width}}{'A':>10}{'B':>10}  {'':<6}{'B / A':>7}  {'interval':<15}")
    lines += [_line(change, width) for change in told]
    lines += [f"only in A: {name}" for name in comparison.only_a]
    lines += [f"only in B: {name}" for name in comparison.only_b]
    return "\n".join(lines)


def _warning(change: Change) -> str:
    return (
        f"CAUTION: the machine itself took {change.ratio:.2f} times as long in B for the same {change.a.name}: "
        "what moved by about as much says nothing of the code"
    )


def _line(change: Change, width: int) -> str:
    interval = "-" if change.low is None else f"{change.low:.3f} to {change.high:.3f}"
    values = f"{number(change.a.p50):>10}{number(change.b.p50):>10}  {change.a.unit:<6}{change.ratio:>7.3f}"
    return f"{_label(change.a):<{width}}{values}  {interval:<15} {_MARKS[change.verdict]}"


def _medians(samples: Sequence[float], random: np.random.Generator) -> NDArray[np.float64]:
    """Medians of samples put together from blocks drawn with replacement, [DRAWS]."""
    size = len(samples) // BLOCKS
    blocks = np.asarray(samples[-BLOCKS * size :], dtype=np.float64).reshape(BLOCKS, size)
    drawn = random.integers(BLOCKS, size=(DRAWS, BLOCKS))
    return np.median(blocks[drawn].reshape(DRAWS, -1), axis=1)


def _verdict(row: Row, low: float, high: float) -> Verdict:
    if low <= 1 + MARGIN and high >= 1 - MARGIN:
        return "same"
    if row.unit not in _LESS_IS_BETTER:
        return "changed"
    return "better" if high < 1 else "worse"


def by_key(run: Run) -> dict[Key, Row]:
    """The rows by what makes them comparable (benchmark, name, unit, device); of rows measured twice, the last."""
    processor = {"cpu": run.environment.get("cpu", ""), "cuda": run.environment.get("gpu", "")}
    return {(row.bench, row.name, row.unit, f"{row.device} {processor[row.device]}"): row for row in run.rows}


def _title(key: Key) -> str:
    bench, name, _, device = key
    return f"{bench}: {name} ({device.strip()})"


def _label(row: Row) -> str:
    return f"{row.bench}: {row.name}  "


def _differences(a: dict[str, str], b: dict[str, str]) -> list[str]:
    names = [name for name in a if name != "taken_utc"]
    return [f"{name}: {a[name] or '-'} -> {b.get(name) or '-'}" for name in names if a[name] != b.get(name, "")]
