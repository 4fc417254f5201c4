"""Does what the command line asked of the bench: measure, compare or report."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.arguments import PAGE_SUFFIX, REPORT
from benchmarks.compare import as_text, compare
from benchmarks.errors import BenchError
from benchmarks.plan import Plan
from benchmarks.report import report
from benchmarks.results import Run, as_json, as_table, read_run, save_csv
from benchmarks.runner import Budget, run_suite, to_stderr
from benchmarks.suite import Suite
from benchmarks.yardstick import Yardstick


def execute(args: argparse.Namespace, suites: Sequence[Suite], unasked: Sequence[str]) -> int:
    """Compare, report or measure.

    Returns:
        0 done; 1 a promise was missed, a part failed, something got worse, or a file was no good; 2 wrong usage.
    """
    try:
        if args.compare:
            return _compare(*args.compare)
        if args.what[:1] == [REPORT]:
            return _report([Path(name) for name in args.what[1:]], args.out, args.save)
        return _measure(args, suites, unasked)
    except BenchError as error:
        print(f"visavis bench: {error}", file=sys.stderr)
        return 1


def _compare(a: Path, b: Path) -> int:
    comparison = compare(read_run(a), read_run(b))
    print(as_text(comparison))
    return 1 if any(change.verdict == "worse" for change in comparison.changes) else 0


def _report(files: Sequence[Path], out: Sequence[Path], save: bool) -> int:
    if not files or len(out) > 1 or not (out or save):
        want = f"want {REPORT} A.json [B.json ...] with --out page.html, --save or both"
        return _wrong(f"got {len(files)} files and {len(out)} --out, {want}")
    runs = [read_run(path) for path in files]
    for path in out:
        path.write_text(report(runs), encoding="utf-8")
    if save:
        for run in runs:
            save_csv(run)
    return 0


def _measure(args: argparse.Namespace, suites: Sequence[Suite], unasked: Sequence[str]) -> int:
    known = {suite.name: suite for suite in suites}
    if unknown := [name for name in args.what if name not in known]:
        return _wrong(f"got {', '.join(unknown)}, want any of {', '.join(known)}, or {REPORT} and files")
    if args.minutes is not None and not args.minutes > 0:
        return _wrong(f"got --minutes {args.minutes:g}, want more than 0")
    wanted = args.what or [name for name in known if name not in unasked]
    plan = replace(Plan.quick() if args.quick else Plan.usual(), seconds=args.seconds)
    budget, run, yardstick = Budget(args.minutes), Run(), Yardstick(plan.device)
    yardstick.take()
    for name in wanted:
        run_suite(run, known[name], plan, budget, to_stderr)
        yardstick.take()
        whole = replace(run, rows=[*run.rows, yardstick.row()])
        _write(whole, args.out)  # after each: what comes later may be ended from outside
    run.rows.append(yardstick.row())
    if args.save:
        save_csv(run)
    print(as_json(run) if args.json else as_table(run.rows))
    return 1 if any(row.holds is False for row in run.rows) or any(part.failed for part in run.left_out) else 0


def _write(run: Run, out: Sequence[Path]) -> None:
    for path in out:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(report([run]) if path.suffix == PAGE_SUFFIX else as_json(run), encoding="utf-8")


def _wrong(why: str) -> int:
    print(f"visavis bench: {why}", file=sys.stderr)
    return 2
