"""`visavis bench`."""

import argparse
import sys
from collections.abc import Callable
from typing import Final

from benchmarks.harness import Row, as_json, as_table, save

BENCHES: Final = ("render", "enroll", "kernels", "server", "soak")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `visavis bench`."""
    parser.description = "Measure this machine and compare with what the project promises. Let nothing else run."
    parser.add_argument("what", nargs="*", help=f"any of {', '.join(BENCHES)} (default: all but soak)")
    parser.add_argument("--json", action="store_true", help="print rows and environment as JSON")
    parser.add_argument("--save", action="store_true", help="append the rows to benchmarks/results/*.csv")
    parser.add_argument("--seconds", type=float, help="length of the server's or the soak's run (60, 600)")


def run(args: argparse.Namespace) -> int:
    """Measure and print. Exit codes: 0 done, 1 a limit was missed or nothing could be timed, 2 wrong usage."""
    wanted = tuple(args.what) or BENCHES[:-1]
    if unknown := sorted(set(wanted) - set(BENCHES)):
        print(f"visavis bench: got {', '.join(unknown)}, want any of {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    rows = [row for name in wanted for row in _bench(name, args.seconds)()]
    if args.save:
        save(rows)
    print(as_json(rows) if args.json else as_table(rows))
    return 1 if any(row.holds is False for row in rows) else 0


def _bench(name: str, seconds: float | None) -> Callable[[], list[Row]]:
    """The benchmark called `name`; only what it needs is imported."""
    if name == "render":
        from benchmarks import bench_render

        return bench_render.run
    if name == "enroll":
        from benchmarks import bench_enroll

        return bench_enroll.run
    if name == "kernels":
        from benchmarks import bench_kernels

        return bench_kernels.run
    from benchmarks import bench_server

    if name == "server":
        return lambda: bench_server.run(seconds or 60.0)
    return lambda: bench_server.soak(seconds or 600.0)
