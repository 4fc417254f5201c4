"""Enrols photos, moves and voices them, and measures what the pictures show."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.faces import IDENTITIES_DIR
from benchmarks.harness import environment
from benchmarks.quality.controls import OPEN, ControlReport, Puppet, measure_controls
from benchmarks.quality.likeness import LikenessReport, measure_likeness
from benchmarks.quality.meter import Picture
from benchmarks.quality.page import Chapter, Line, page
from benchmarks.quality.speech import SilenceReport, SpeechReport, film, measure_silence, measure_speech
from models.errors import ModelError
from models.registry import load_system
from models.system import IdentityState, System
from models.training.speech_clips import Clip, read_clips
from models.visavis.enrol import load_photo

SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp")
SCHEMA: Final = 1
CLIPS: Final = 8
TURNED_DEG: Final = 10.0


@dataclass(frozen=True)
class FaceReport:
    """Everything measured on one photo; see the parts for what their numbers mean."""

    photo: str
    enrolled_s: float
    controls: ControlReport
    silence: SilenceReport
    likeness: LikenessReport
    speech: list[SpeechReport]


def evaluate(args: argparse.Namespace) -> int:
    """Measure, print, write; returns the exit code of `visavis eval`."""
    paths = _photos(args.photos or [IDENTITIES_DIR])
    missing = [str(p) for p in (*paths, args.clips, args.recogniser) if p is not None and not p.is_file()]
    if missing or not paths:
        print(f"visavis eval: got {', '.join(missing) or 'no photo'}, want files that exist", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    system = load_system(args.system)
    clips = read_clips(args.clips)[:CLIPS] if args.clips else []
    reports: list[FaceReport] = []
    chapters: list[Chapter] = []
    refused: list[tuple[str, str]] = []
    with tqdm(paths, unit="face", disable=not sys.stderr.isatty()) as bar:
        for path in bar:
            bar.set_description(path.name)
            try:
                report, strips = _measure(system, path, clips, args.lookahead_ms, args.recogniser, bar.set_postfix_str)
            except ModelError as error:
                refused.append((path.name, str(error)))
                continue
            reports.append(report)
            chapters.append(Chapter(path.name, lines(report), report.controls.sweeps, strips))
    whole = {"schema": SCHEMA, "system": system.name, "environment": environment(), "refused": dict(refused)}
    whole |= {"faces": [asdict(report) for report in reports]}
    _write(args, whole, page(f"{system.name}, seen in its pictures", chapters, refused))
    if args.json != "-":
        _print(chapters, refused)
    return 0 if reports else 1


def lines(report: FaceReport) -> list[Line]:
    """The numbers of one face beside the bars that the project sets itself."""
    sweeps = [
        Line(f"{sweep.control}: mean error, degrees", sweep.mean_error_deg, most=2.0)
        for sweep in report.controls.sweeps
    ]
    leaks = [
        Line(f"{name} moves {other} by, share", share, most=0.1)
        for name, worst in report.controls.leaks.items()
        for other, share in worst.items()
    ]
    spoken = [
        line
        for said in report.speech
        for line in (
            Line(
                f"closed on p b m at {said.lookahead_ms} ms, share of {said.closures}",
                said.closed_share,
                least=0.9 if said.lookahead_ms >= 80 else 0.75,
            ),
            Line(f"vowels closed at {said.lookahead_ms} ms, share", said.vowels_closed_share),
        )
    ]
    return [
        Line("enrolment, s", round(report.enrolled_s, 2), most=1.5),
        *sweeps,
        *leaks,
        Line("tremble in silence, share of the face's height", report.silence.tremble, most=0.01),
        Line("flicker of the background, levels", report.silence.flicker_levels, most=1.0),
        Line("mouth's sharpness against the photo's, share", report.likeness.mouth_sharpness, least=0.7),
        Line("distance to the photo by the recogniser", report.likeness.distance, most=0.3),
        *spoken,
    ]


def _photos(wanted: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in wanted:
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        found += inside
    return found


def _measure(
    system: System,
    path: Path,
    clips: list[Clip],
    lookaheads_ms: list[int],
    recogniser: Path | None,
    say: Callable[[str], object],
) -> tuple[FaceReport, list[list[Picture]]]:
    photo = load_photo(path.read_bytes())
    say("enrol")
    started_s = time.perf_counter()
    identity: IdentityState = system.enroll(photo)
    enrolled_s = time.perf_counter() - started_s
    puppet = Puppet(system, identity)
    rest = puppet.pose()
    turned = [puppet.pose(headYaw=-TURNED_DEG), puppet.pose(headYaw=TURNED_DEG)]
    said = (
        film(system, identity, clips[0].sound.astype(np.float32) / 32768.0, 80)[10:60:10]
        if clips
        else [puppet.pose(**OPEN)]
    )
    say("controls")
    controls = measure_controls(puppet)
    say("silence")
    silence = measure_silence(system, identity, rest)
    likeness = measure_likeness(photo, rest, [*turned, *said], recogniser)
    say("speech")
    speech = [measure_speech(system, identity, rest, clips, ms) for ms in lookaheads_ms if clips]
    poses = [
        rest,
        puppet.pose(eyeBlinkLeft=1, eyeBlinkRight=1),
        puppet.pose(gazeYaw=15),
        *turned,
        puppet.pose(headPitch=10),
        *said[:2],
    ]
    return FaceReport(path.name, enrolled_s, controls, silence, likeness, speech), [poses]


def _write(args: argparse.Namespace, whole: dict[str, Any], text: str) -> None:
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    if args.json == "-":
        print(json.dumps(whole, indent=2))
    elif args.json:
        Path(args.json).write_text(json.dumps(whole, indent=2), encoding="utf-8")


def _print(chapters: list[Chapter], refused: list[tuple[str, str]]) -> None:
    for name, reason in refused:
        print(f"{name}: refused: {reason}")
    for chapter in chapters:
        print(chapter.title)
        for line in chapter.lines:
            value = "-" if line.value is None else f"{line.value:g}"
            verdict = {None: "", True: f"ok, {line.bar}", False: f"MISSED, {line.bar}"}[line.holds]
            print(f"  {line.name:<52}{value:>10}  {verdict}".rstrip())
