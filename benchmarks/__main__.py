"""`python -m benchmarks`: the bench on a machine that has torch, numpy and safetensors, and no web stack.

The same as `visavis bench` without the suites that need a server; it imports nothing of `stream`.
"""

import argparse
import sys

from benchmarks.arguments import add_arguments
from benchmarks.torch_suites import TORCH_SUITES


def main() -> int:
    """Measure, compare or report; see `execute` for the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    add_arguments(parser, TORCH_SUITES, ())
    args = parser.parse_args()
    from benchmarks.execute import execute  # torch: not for --help

    try:
        return execute(args, TORCH_SUITES, ())
    except OSError as error:
        print(f"visavis bench: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
