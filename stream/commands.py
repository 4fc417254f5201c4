"""What each subcommand takes and does. Nothing heavy is imported before it is needed: `--help` answers at once."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

from models.emotion import EMOTIONS, NEUTRAL
from models.framing import FRAMINGS
from stream.config import (
    DoctorConfig,
    EnrollConfig,
    RenderConfig,
    ServeConfig,
    default_data_dir,
    parse_emotion,
    parse_ice_server,
)
from stream.types import MAX_LOOKAHEAD_MS

EXIT_FAILED: Final = 1
_MARKS: Final = {"ok": "ok     ", "warning": "warning", "failed": "FAILED "}

Arguments = argparse.Namespace
T = TypeVar("T")


@dataclass(frozen=True)
class Command:
    """One subcommand: a line for `visavis --help`, a paragraph for its own, its options, and what it does."""

    summary: str
    description: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Arguments], int]


class UsageError(ValueError):
    """An option has a value that the config refuses."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


def _configure(make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError as error:
        raise UsageError(str(error)) from error


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


# serve


def _serve_options(parser: argparse.ArgumentParser) -> None:
    _listen_options(parser)
    _system_option(parser)
    _engine_options(parser)
    _framing_option(parser, default="head")
    _lookahead_option(parser)
    parser.add_argument(
        "--max-sessions",
        type=int,
        metavar="N",
        help="callers at a time (default: as many as this machine is measured to draw in time)",
    )
    parser.add_argument(
        "--idle-timeout-s", type=float, default=30.0, metavar="S", help="close a silent connection after (default: 30)"
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this other site use the server, for example https://example.org; may be repeated",
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="private key (PEM) for HTTPS")
    parser.add_argument(
        "--gateways",
        type=int,
        default=0,
        metavar="N",
        help="processes that speak with the browsers, beside one that draws the faces; one that dies is started anew "
        "(default: 0, one process does it all)",
    )
    parser.add_argument(
        "--only",
        action="store_true",
        help="let no caller choose another system; else one that is chosen first is loaded then, beside the others",
    )


def _listen_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; browsers open the microphone only on localhost or over HTTPS (default: 127.0.0.1)",
    )
    parser.add_argument("--port", type=int, default=8080, help="TCP port, 0 for a free one (default: 8080)")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=default_data_dir(),
        metavar="DIR",
        help="where uploaded photos and computed features are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--ice-server",
        action="append",
        default=[],
        metavar="URL[,USER,CREDENTIAL]",
        help="STUN or TURN server for callers from other networks, for example turn:turn.example.org:3478,ann,secret; "
        "may be repeated (default: none)",
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain (PEM) for HTTPS")


def _system_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--system", default="visavis", help="what draws the face; see `visavis systems`")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="its weights, as `visavis train` or `visavis convert` wrote them (default: the bundled ones)",
    )


def _engine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend",
        choices=("auto", "eager", "compile", "cudagraph", "tensorrt", "openvino"),
        default="auto",
        help="what runs the networks (default: auto, what is fastest on this machine; `visavis doctor` says which)",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "fp16", "bf16"),
        default="auto",
        help="what the painter is computed in (default: auto, what the device is fast in)",
    )


def _framing_option(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "--framing",
        choices=FRAMINGS,
        default=default,
        help="what the picture shows: the head, or the photo with the living head in it (default: head)",
    )


def _lookahead_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lookahead-ms",
        type=int,
        default=40,
        metavar="MS",
        help=f"how much of the voice's future a frame may hear, 0 to {MAX_LOOKAHEAD_MS}, of which the nearest that the "
        "system offers is taken: more gives better lips and more delay (default: 40)",
    )


def _serve(args: Arguments) -> int:
    config = _configure(
        lambda: ServeConfig(
            host=args.host,
            port=args.port,
            system=args.system,
            backend=args.backend,
            precision=args.precision,
            weights=args.weights,
            framing=args.framing,
            lookahead_ms=args.lookahead_ms,
            max_sessions=args.max_sessions,
            idle_timeout_s=args.idle_timeout_s,
            data_dir=args.data_dir,
            ice_servers=tuple(parse_ice_server(text) for text in args.ice_server),
            allow_origins=tuple(args.allow_origin),
            tls_cert=args.tls_cert,
            tls_key=args.tls_key,
            gateways=args.gateways,
            only=args.only,
        )
    )
    if config.gateways:
        from stream.processes.supervisor import supervise

        supervise(config)
    else:
        from stream.serve import serve

        serve(config)
    return 0


# render


def _render_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, help="portrait (JPEG, PNG, ...), or features written by `visavis enroll`")
    parser.add_argument("sound", type=Path, help="speech: WAV, FLAC, MP3, Opus, or the sound of a video")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.mp4", help="the film to write")
    _system_option(parser)
    _engine_options(parser)
    _framing_option(parser, default=None)
    _lookahead_option(parser)
    parser.add_argument("--no-idle", action="store_true", help="no blinks and no small movements of the head")
    parser.add_argument("--seed", type=int, default=0, help="of the blinks and movements (default: 0)")
    parser.add_argument(
        "--emotion",
        default=NEUTRAL,
        metavar="NAME[=SHARE]",
        help=f"how the face feels while it speaks: {', '.join(EMOTIONS)}; happy=0.5 is half of it (default: {NEUTRAL})",
    )
    parser.add_argument(
        "--speech-intensity",
        type=float,
        default=1.0,
        metavar="X",
        help="how lively the speech looks: 0 is a mumble with a still head, 2 is emphatic (default: 1)",
    )
    parser.add_argument("--json", action="store_true", help="tell the result as JSON, without a progress bar")


def _render(args: Arguments) -> int:
    config = _configure(
        lambda: RenderConfig(
            photo=args.photo,
            audio=args.sound,
            out=args.out,
            system=args.system,
            backend=args.backend,
            precision=args.precision,
            weights=args.weights,
            framing=args.framing,
            lookahead_ms=args.lookahead_ms,
            idle=not args.no_idle,
            seed=args.seed,
            emotion=parse_emotion(args.emotion),
            speech_intensity=args.speech_intensity,
        )
    )
    from tqdm import tqdm

    from models.registry import load_system
    from stream.identities import enroll_file
    from stream.offline import render

    system = load_system(config.system, config.weights, config.backend, config.precision)
    identity = enroll_file(system, config.photo, config.framing)
    with tqdm(unit="frame", disable=args.json) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        result = render(config, system, identity, show)
    if args.json:
        _print_json({"out": str(config.out), **asdict(result)})
    else:
        print(f"{config.out}: {result.frames} frames in {result.took_s:.1f} s, {result.seconds:.1f} s of sound")
    return 0


# enroll


def _enroll_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, help="portrait: one face, looking at the camera, lips closed")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.safetensors", help="the features to write")
    _system_option(parser)
    _framing_option(parser, default="head")
    parser.add_argument("--json", action="store_true", help="tell the result as JSON")


def _enroll(args: Arguments) -> int:
    config = _configure(
        lambda: EnrollConfig(
            photo=args.photo, out=args.out, system=args.system, weights=args.weights, framing=args.framing
        )
    )
    from models.registry import load_system
    from stream.identities import enroll_file

    system = load_system(config.system, config.weights)
    started_s = time.monotonic()
    identity = enroll_file(system, config.photo, config.framing)
    took_s = time.monotonic() - started_s
    identity.save(config.out)
    if args.json:
        facts = {"system": identity.system, "version": identity.version, "bytes": identity.bytes, "took_s": took_s}
        _print_json({"out": str(config.out), **facts})
    else:
        print(f"{config.out}: enrolled in {took_s:.1f} s, {identity.bytes / 1e6:.1f} MB for system {identity.system}")
    return 0


# doctor


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    _listen_options(parser)
    parser.add_argument("--json", action="store_true", help="tell the findings as JSON")


def _doctor(args: Arguments) -> int:
    config = _configure(
        lambda: DoctorConfig(
            host=args.host,
            port=args.port,
            data_dir=args.data_dir,
            ice_servers=tuple(parse_ice_server(text) for text in args.ice_server),
            tls_cert=args.tls_cert,
        )
    )
    from stream.doctor import Check, examine

    checks: list[Check] = []
    for check in examine(config):
        checks.append(check)
        if not args.json:
            print(f"{_MARKS[check.verdict]} {check.name}: {check.found}", flush=True)
            if check.remedy:
                print(f"        -> {check.remedy}", flush=True)
    healthy = all(check.verdict != "failed" for check in checks)
    if args.json:
        _print_json({"healthy": healthy, "checks": [asdict(check) for check in checks]})
    return 0 if healthy else EXIT_FAILED


# systems


def _systems_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="tell everything as JSON, all controls included")


def _systems(args: Arguments) -> int:
    from models.registry import facts, systems
    from stream.describe import describe

    described = [describe(facts(name)) for name in systems()]
    if args.json:
        _print_json({"systems": described})
        return 0
    for told in described:
        lookaheads = ", ".join(str(ms) for ms in told["lookahead_ms"])
        print(f"{told['name']}: {told['frame_px']} px, look-ahead {lookaheads} ms, {len(told['controls'])} controls")
    return 0


# capacity


def _capacity_options(parser: argparse.ArgumentParser) -> None:
    _system_option(parser)
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
        _print_json({"system": system.name, "limit_ms": LIMIT_MS, **found.facts()})
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


# convert, corpus, train, probe, eval, bench


def _convert_options(parser: argparse.ArgumentParser) -> None:
    from stream.convert import add_arguments

    add_arguments(parser)


def _convert(args: Arguments) -> int:
    from stream.convert import configure, run

    run(_configure(lambda: configure(args)), as_json=args.json)
    return 0


def _corpus_options(parser: argparse.ArgumentParser) -> None:
    from stream.corpus import add_arguments

    add_arguments(parser)


def _corpus(args: Arguments) -> int:
    from stream.corpus import configure, look

    look(_configure(lambda: configure(args)), as_json=args.json)
    return 0


def _train_options(parser: argparse.ArgumentParser) -> None:
    from stream.train import add_arguments

    add_arguments(parser)


def _train(args: Arguments) -> int:
    from stream.train import configure, train

    return train(_configure(lambda: configure(args)))


def _probe_options(parser: argparse.ArgumentParser) -> None:
    from stream.probe import add_arguments

    add_arguments(parser)


def _probe(args: Arguments) -> int:
    from stream.probe import run

    return run(args)


def _eval_options(parser: argparse.ArgumentParser) -> None:
    from benchmarks.quality.command import add_arguments

    add_arguments(parser)


def _eval(args: Arguments) -> int:
    from benchmarks.quality.command import run

    return run(args)


def _bench_options(parser: argparse.ArgumentParser) -> None:
    from benchmarks.command import add_arguments

    add_arguments(parser)


def _bench(args: Arguments) -> int:
    from benchmarks.command import run

    return run(args)


COMMANDS: Final[dict[str, Command]] = {
    "serve": Command(
        "serve the page and the live sessions",
        "Serve the page and its live sessions: open the address it prints, pick a face, and speak. Ctrl+C stops it.",
        _serve_options,
        _serve,
    ),
    "render": Command(
        "make a film from a photo and a sound file",
        "Make an MP4 in which the person of one photo speaks the sound, through the same stages as a live session.",
        _render_options,
        _render,
    ),
    "enroll": Command(
        "compute the features of one photo",
        "Compute everything that depends on the photo alone, once, so that `visavis render` need not do it again.",
        _enroll_options,
        _enroll,
    ),
    "probe": Command(
        "measure a running server with a real browser",
        "Drive a real Chromium against a running server and measure how long it takes from microphone to screen.",
        _probe_options,
        _probe,
    ),
    "doctor": Command(
        "check this machine and say what to do",
        "Check Python, torch, the processor, UDP, ports, microphone rules, STUN and TURN, folders and the face itself. "
        "Every failure says its remedy. Give the options that you would give to serve.",
        _doctor_options,
        _doctor,
    ),
    "systems": Command(
        "list what can draw a face",
        "List the systems that can draw a face, and what each needs and obeys.",
        _systems_options,
        _systems,
    ),
    "capacity": Command(
        "find out how many sessions this machine draws in time",
        "Let more and more callers speak, through the engine that serves them, until their frames come too late. Let "
        "nothing else run meanwhile.",
        _capacity_options,
        _capacity,
    ),
    "convert": Command(
        "read the weights that a system's authors published",
        "Read a system's published checkpoint and write it as safetensors, with the system's name and sizes in it. "
        "Nothing in the checkpoint is executed.",
        _convert_options,
        _convert,
    ),
    "corpus": Command(
        "look at the training corpus, or make clips of videos",
        "Draw a contact sheet of any part of the training corpus, fit all its portraits, or make the clips that the "
        "published systems train on, and report the rejects. Nothing is written but what --out names.",
        _corpus_options,
        _corpus,
    ),
    "train": Command(
        "train the weights anew from the corpus",
        "Train the house model's weights from the corpus folder, or a published system's from the clips that `visavis "
        "corpus videos` made: hours on a CPU. A rerun goes on where the last ended.",
        _train_options,
        _train,
    ),
    "eval": Command(
        "measure how good the face is, from its pictures",
        "Enrol photos, move every control, let the face speak and be silent, and measure what the pictures show: does "
        "it obey, does anything else move, do the lips close, is it still the person.",
        _eval_options,
        _eval,
    ),
    "bench": Command(
        "time the parts and the whole on this machine",
        "Time the parts and the whole on this machine, and keep the results with device and versions.",
        _bench_options,
        _bench,
    ),
}
