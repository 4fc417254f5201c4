"""Enrols photos, moves and voices them, and measures what the pictures show."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.faces import IDENTITIES_DIR
from benchmarks.machine import environment
from benchmarks.quality.controls import OPEN, Puppet, command, measure_controls
from benchmarks.quality.likeness import PhotoView, measure_likeness
from benchmarks.quality.matching import SYSTEMS as MATCHERS
from benchmarks.quality.matching import matching_chapter, measure_matching
from benchmarks.quality.meter import FaceMeter, Picture
from benchmarks.quality.page import Chapter, page
from benchmarks.quality.report import FaceReport, face_chapter, overview, truth_chapter, videos_chapter
from benchmarks.quality.speech import film, load_clips, measure_silence, measure_speech
from benchmarks.quality.teeth import measure_swim
from benchmarks.quality.truth import NoPairsError, measure_truth
from benchmarks.quality.videos import NoneDrawnError, contenders, measure_videos
from models.errors import CheckpointError, ModelError
from models.registry import DEFAULT, bundled, load_system
from models.system import IdentityState, System
from models.training.clips import NoClipsError
from models.training.speech_clips import Clip
from models.training.sync_expert import SyncExpert
from models.visavis.enrol import load_photo
from models.visavis.system import Visavis
from stream.config import PHOTO_SUFFIXES
from stream.errors import SoundError

SCHEMA: Final = 2
TURNED_DEG: Final = 10.0
LOOKAHEADS_MS: Final = (0, 40, 80, 120, 200)
SHOWN_MS: Final = 80
SHOWN_FRAMES: Final = 6
_POSES: Final = (("blink", 1.0), ("gazeYaw", 15.0), ("headPitch", 10.0), ("headYaw", -10.0), ("headYaw", 10.0))


def evaluate(args: argparse.Namespace) -> int:
    """Measure, print, write; returns the exit code of `visavis eval`."""
    paths = _photos(args.photos or [IDENTITIES_DIR])
    names = args.system or [DEFAULT]
    weights = [None if file == "-" else Path(file) for file in args.weights or ["-"] * len(names)]
    files = [*paths, *args.clips, *weights, args.recogniser, args.squeezenet, args.sync_expert]
    missing = [str(p) for p in files if p is not None and not p.is_file()]
    if missing or not paths:
        return _wrong(f"got {', '.join(missing) or 'no photo'}, want files that exist")
    if len(weights) != len(names):
        return _wrong(f"got {len(weights)} --weights for {len(names)} systems, want one for each, - for the bundled")
    if set(names) <= set(MATCHERS):
        return _match(list(zip(names, weights, strict=True)), args)
    if args.videos is None and len(names) > 1:
        return _wrong(f"got {len(names)} systems, want one, or --videos to compare them on")
    torch.set_num_threads(1)
    systems = [load_system(*pair, args.backend) for pair in zip(names, weights, strict=True)]
    if args.videos is not None:
        return _compare(systems, args)
    (system,) = systems
    if args.pairs and not isinstance(system, Visavis):
        return _wrong(f"got --pairs with --system {system.name}, want visavis: the pairs are made with its rig")
    try:
        clips = [clip for path in args.clips for clip in load_clips(path)[: args.clip_count]]
        truth = None
        if args.pairs and isinstance(system, Visavis):
            truth = measure_truth(system, args.pairs, args.squeezenet, args.persons)
    except (SoundError, NoPairsError) as error:
        return _wrong(str(error))
    expert = SyncExpert.load(args.sync_expert)
    reports, chapters, refused = _faces(system, paths, clips, expert, args)
    if truth:
        chapters.insert(0, truth_chapter(*truth))
    if len(reports) > 1:
        chapters.insert(0, overview(reports))
    whole: dict[str, Any] = {"schema": SCHEMA, "system": system.name, "environment": environment()}
    whole |= {"refused": dict(refused), "faces": [asdict(report) for report in reports]}
    whole |= {"truth": asdict(truth[0]) if truth else None}
    _tell(args, whole, f"{system.name}, seen in its pictures", chapters, refused)
    return 0 if reports else 1


def _compare(systems: list[System], args: argparse.Namespace) -> int:
    """One table of all systems."""
    wanted = contenders(systems, args.lookahead_ms or [SHOWN_MS])
    expert = SyncExpert.load(args.sync_expert)
    try:
        report, strips, refused = measure_videos(wanted, args.videos, args.clip_count, expert, args.recogniser)
    except (NoClipsError, NoneDrawnError) as error:
        return _wrong(str(error))
    chapters = [videos_chapter(report, strips)]
    whole = {"schema": SCHEMA, "environment": environment(), "refused": dict(refused), "videos": asdict(report)}
    _tell(args, whole, "Systems on the same clips", chapters, refused)
    return 0


def _match(weights: list[tuple[str, Path | None]], args: argparse.Namespace) -> int:
    """One table of EquiAV's weights."""
    files = [(name, path or bundled(name)) for name, path in weights]
    known = [(name, path) for name, path in files if path is not None]
    if args.videos is None or len(known) < len(files):
        return _wrong("got EquiAV, which draws nothing, want --videos to score it on, and --weights of what is trained")
    torch.set_num_threads(1)
    try:
        scores = measure_matching(known, args.videos, args.clip_count)
    except (NoClipsError, CheckpointError) as error:
        return _wrong(str(error))
    chapters = [matching_chapter(scores)]
    told = {name: asdict(found) for name, found in scores.items()}
    _tell(args, {"schema": SCHEMA, "environment": environment(), "equiav": told}, "EquiAV", chapters, [])
    return 0


def _wrong(text: str) -> int:
    print(f"visavis eval: {text}", file=sys.stderr)
    return 2


def _photos(wanted: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in wanted:
        found += sorted(p for p in path.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES) if path.is_dir() else [path]
    return found


def _faces(
    system: System, paths: list[Path], clips: list[Clip], expert: SyncExpert, args: argparse.Namespace
) -> tuple[list[FaceReport], list[Chapter], list[tuple[str, str]]]:
    reports: list[FaceReport] = []
    chapters: list[Chapter] = []
    refused: list[tuple[str, str]] = []
    with tqdm(paths, unit="face", disable=not sys.stderr.isatty()) as bar:
        for path in bar:
            bar.set_description(path.name)
            try:
                report, strips = _measure(system, path, clips, expert, args, bar.set_postfix_str)
            except ModelError as error:
                refused.append((path.name, str(error)))
                continue
            reports.append(report)
            chapters.append(face_chapter(report, strips))
    return reports, chapters, refused


def _measure(
    system: System,
    path: Path,
    clips: list[Clip],
    expert: SyncExpert,
    args: argparse.Namespace,
    say: Callable[[str], object],
) -> tuple[FaceReport, list[list[Picture]]]:
    say("enrol")
    photo = load_photo(path.read_bytes())
    started_s = time.perf_counter()
    identity: IdentityState = system.enroll(photo)
    enrolled_s = time.perf_counter() - started_s
    puppet = Puppet(system, identity)
    rest = puppet.pose()
    meter, view = FaceMeter(rest), PhotoView.of(photo)
    poses = [puppet.pose(**command(*pose)) for pose in _POSES]
    said = _shown(film(system, identity, clips[0], SHOWN_MS)) if clips else [puppet.pose(**OPEN)]
    say("controls")
    controls = measure_controls(puppet, meter)
    swim = measure_swim(puppet, meter)
    say("silence")
    silence = measure_silence(system, identity, meter)
    likeness = measure_likeness(view, rest, [*poses[-2:], *said], meter, args.recogniser)
    say("speech")
    dial = args.lookahead_ms or LOOKAHEADS_MS
    speech = [measure_speech(system, identity, meter, clips, ms, expert) for ms in dial if clips]
    framed, _ = view.framed(meter.rest.points_px[0], rest.shape[0])
    report = FaceReport(path.name, enrolled_s, controls, silence, likeness, swim, speech)
    return report, [[framed, *said], [rest, *poses]]


def _shown(pictures: list[Picture]) -> list[Picture]:
    """Some pictures, evenly over the clip."""
    wanted = np.linspace(0, len(pictures) - 1, SHOWN_FRAMES + 2).round().astype(int)[1:-1]
    return [pictures[i] for i in wanted.tolist()]


def _tell(
    args: argparse.Namespace,
    whole: dict[str, Any],
    title: str,
    chapters: list[Chapter],
    refused: list[tuple[str, str]],
) -> None:
    """Write the page and the JSON that are wanted; print the tables unless the JSON goes there."""
    if args.out:
        args.out.write_text(page(title, chapters, refused), encoding="utf-8")
    if args.json == "-":
        print(json.dumps(whole, indent=2))
        return
    if args.json:
        Path(args.json).write_text(json.dumps(whole, indent=2), encoding="utf-8")
    _print(chapters, refused)


def _print(chapters: list[Chapter], refused: list[tuple[str, str]]) -> None:
    """Everything but plots and pictures, as text."""
    for name, reason in refused:
        print(f"{name}: refused: {reason}")
    for chapter in chapters:
        print(chapter.title)
        for table in chapter.tables:
            for row in (table.heads, *table.rows):
                first, *rest = (
                    cell if isinstance(cell, str) else "-" if cell is None else f"{cell:.4g}" for cell in row
                )
                print(f"  {first:<52}" + "".join(f"{cell:>24}" for cell in rest))
        for line in chapter.lines:
            value = "-" if line.value is None else f"{line.value:g}"
            verdict = {None: "", True: f"ok, {line.bar}", False: f"MISSED, {line.bar}"}[line.holds]
            print(f"  {line.name:<52}{value:>10}  {verdict:<24}{line.note}".rstrip())
