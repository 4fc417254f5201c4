"""`visavis bench`."""

import argparse
from typing import Final

from benchmarks import arguments
from benchmarks.live_suites import LIVE_SUITES
from benchmarks.torch_suites import TORCH_SUITES

SUITES: Final = (*TORCH_SUITES, *LIVE_SUITES)
UNASKED: Final = ("soak",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `visavis bench`."""
    arguments.add_arguments(parser, SUITES, UNASKED)


def run(args: argparse.Namespace) -> int:
    """Measure, compare or report; see `execute` for the exit code."""
    from benchmarks.execute import execute  # torch: not for --help

    return execute(args, SUITES, UNASKED)
