"""The options that `visavis bench` and `python -m benchmarks` have in common."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.suite import Suite

REPORT: Final = "report"
PAGE_SUFFIX: Final = ".html"


def add_arguments(parser: argparse.ArgumentParser, suites: Sequence[Suite], unasked: Sequence[str]) -> None:
    """The options; `unasked` are the suites that run only when they are named."""
    names = ", ".join(suite.name for suite in suites)
    but = f" but {', '.join(unasked)}" if unasked else ""
    parser.description = (
        "Measure this machine and compare with what the project promises. Let nothing else run. "
        "`report A.json B.json --out page.html` draws earlier runs side by side instead; --save keeps their rows."
    )
    parser.add_argument("what", nargs="*", help=f"any of {names} (default: all{but}), or {REPORT} and files")
    parser.add_argument("--json", action="store_true", help="print rows, samples and environment as JSON")
    parser.add_argument("--save", action="store_true", help="append the rows to benchmarks/results/*.csv")
    parser.add_argument(
        "--out",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=f"write the run as JSON, or, if the name ends in {PAGE_SUFFIX}, as a page with charts; may be repeated",
    )
    parser.add_argument(
        "--compare",
        type=Path,
        nargs=2,
        metavar=("A.json", "B.json"),
        help="measure nothing: say what changed from A to B beyond noise",
    )
    parser.add_argument("--minutes", type=float, metavar="M", help="end after so long and say what was left out")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: that all runs is shown, no more")
    parser.add_argument("--seconds", type=float, help="length of a run of loop, server or soak (20, 60, 600)")
