"""`visavis systems` and `visavis capacity`: who can draw, and for how many callers on this machine."""

import argparse
from typing import Final

from stream.commands.base import Arguments, Command, UsageError, print_json
from stream.commands.options import system_option


def _systems_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="tell everything as JSON, all controls included")


def _systems(args: Arguments) -> int:
    from models.registry import facts, systems
    from stream.describe import describe

    described = [describe(facts(name)) for name in systems()]
    if args.json:
        print_json({"systems": described})
        return 0
    for told in described:
        lookaheads = ", ".join(str(ms) for ms in told["lookahead_ms"])
        print(f"{told['name']}: {told['frame_px']} px, look-ahead {lookaheads} ms, {len(told['controls'])} controls")
    return 0


def _capacity_options(parser: argparse.ArgumentParser) -> None:
    system_option(parser)
    parser.add_argument(
        "--seconds", type=float, default=5.0, metavar="S", help="how long each number of sessions is tried (default: 5)"
    )
    parser.add_argument("--json", action="store_true", help="tell the result as JSON, without a progress bar")


def _capacity(args: Arguments) -> int:
    if not args.seconds >= 1:
        raise UsageError(f"--seconds must be at least 1, got {args.seconds:g}")
    from tqdm import tqdm

    from models.registry import load_system
    from stream.capacity import find_capacity
    from stream.config import PHOTO_SUFFIXES
    from stream.identities import DEMO_DIR, enroll_file
    from stream.ramp import LIMIT_MS, Step

    system = load_system(args.system, args.weights)
    photos = sorted(path for path in DEMO_DIR.glob("*") if path.suffix in PHOTO_SUFFIXES)
    identities = [enroll_file(system, path) for path in photos]
    with tqdm(unit="step", disable=args.json) as bar:

        def show(step: Step) -> None:
            bar.update()
            bar.set_description(f"{step.sessions} sessions: p99 {step.p99_ms:.0f} ms")

        found = find_capacity(system, identities, args.seconds, show)
    if args.json:
        print_json({"system": system.name, "limit_ms": LIMIT_MS, **found.facts()})
    else:
        for step in found.steps:
            print(
                f"{step.sessions:>5} sessions: p50 {step.p50_ms:.1f}, p95 {step.p95_ms:.1f}, p99 {step.p99_ms:.1f} ms"
            )
        print(
            f"{found.sessions} sessions of {system.name} that all speak have p99 within {LIMIT_MS:g} ms on this "
            f"machine, the network left out; `visavis serve` lets in {found.admitted}"
        )
    return 0


SYSTEMS: Final = Command(
    "list what can draw a face",
    "List the systems that can draw a face, and what each needs and obeys.",
    _systems_options,
    _systems,
)
CAPACITY: Final = Command(
    "find out how many sessions this machine draws in time",
    "Let more and more callers speak, through the engine that serves them, until their frames come too late. Let "
    "nothing else run meanwhile.",
    _capacity_options,
    _capacity,
)
