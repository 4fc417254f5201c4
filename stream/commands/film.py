"""`visavis render` and `visavis enroll`: a film of a photo and a sound, and what of it depends on the photo alone."""

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

from models.emotion import EMOTIONS, NEUTRAL
from stream.commands.base import Arguments, Command, configured, print_json
from stream.commands.options import engine_options, framing_option, lookahead_option, system_option
from stream.config import EnrollConfig, RenderConfig, parse_emotion


def _render_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, help="portrait (JPEG, PNG, ...), or features written by `visavis enroll`")
    parser.add_argument("sound", type=Path, help="speech: WAV, FLAC, MP3, Opus, or the sound of a video")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.mp4", help="the film to write")
    system_option(parser)
    engine_options(parser)
    framing_option(parser, default=None)
    lookahead_option(parser)
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
    config = configured(
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
        print_json({"out": str(config.out), **asdict(result)})
    else:
        print(f"{config.out}: {result.frames} frames in {result.took_s:.1f} s, {result.seconds:.1f} s of sound")
    return 0


def _enroll_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photo", type=Path, help="portrait: one face, looking at the camera, lips closed")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.safetensors", help="the features to write")
    system_option(parser)
    framing_option(parser, default="head")
    parser.add_argument("--json", action="store_true", help="tell the result as JSON")


def _enroll(args: Arguments) -> int:
    config = configured(
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
        print_json({"out": str(config.out), **facts})
    else:
        print(f"{config.out}: enrolled in {took_s:.1f} s, {identity.bytes / 1e6:.1f} MB for system {identity.system}")
    return 0


RENDER: Final = Command(
    "make a film from a photo and a sound file",
    "Make an MP4 in which the person of one photo speaks the sound, through the same stages as a live session.",
    _render_options,
    _render,
)
ENROLL: Final = Command(
    "compute the features of one photo",
    "Compute everything that depends on the photo alone, once, so that `visavis render` need not do it again.",
    _enroll_options,
    _enroll,
)
