"""`visavis corpus`: look at any part of the training corpus, or make clips of videos; what was left out, and why."""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from stream.config import CORPUS_PARTS, VIDEO_LAYOUTS, CorpusConfig

if TYPE_CHECKING:
    from models.training.layouts import Source
    from models.training.pairs import Person
    from models.training.prepare_clips import ReadVideo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `visavis corpus`."""
    parser.add_argument(
        "part",
        choices=CORPUS_PARTS,
        metavar="PART",
        help="what to look at: portraits (photos with the fitted mesh), pairs (photos drawn anew in other states), "
        "grid (frames of real video), heads (computed people), shards (what a folder of training pairs holds); "
        "fits: fit every portrait and report what is left out and why; or make the clips that the published systems "
        "train on: videos, from a folder of talking-face videos, or spoken, of portraits that the house model animates",
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="the corpus; for shards and videos their folder"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="PATH",
        help="the picture to write (.png, .jpg); for fits, videos and spoken a folder",
    )
    parser.add_argument("--first", type=int, default=0, metavar="N", help="how many to pass over (default: 0)")
    parser.add_argument("--count", type=int, default=6, metavar="N", help="how many to show (default: 6)")
    parser.add_argument("--states", type=int, default=8, metavar="N", help="pictures of each person (default: 8)")
    parser.add_argument(
        "--size", type=int, default=256, metavar="PX", help="side of drawn pictures, or of a video's (default: 256)"
    )
    parser.add_argument("--only", metavar="FATE", help="portraits: those with this fate alone, say kept or turned")
    parser.add_argument(
        "--layout",
        choices=VIDEO_LAYOUTS,
        default="plain",
        help="videos: how the data set lies; plain is a folder for each person (default: plain)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="videos, spoken: make only the first N")
    parser.add_argument(
        "--speech", type=Path, nargs="+", default=[], metavar="FILE", help="spoken: .npz files of speech_corpus"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=5.0,
        metavar="S",
        help="spoken: how long a clip may be, 1 to 5; short ones make many persons sooner (default: 5)",
    )
    parser.add_argument("--json", action="store_true", help="tell the result as JSON")


def configure(args: argparse.Namespace) -> CorpusConfig:
    """The config of those options."""
    return CorpusConfig(
        part=args.part,
        data=args.data,
        out=args.out,
        first=args.first,
        count=args.count,
        states=args.states,
        size_px=args.size,
        only=args.only,
        layout=args.layout,
        limit=args.limit,
        speech=tuple(args.speech),
        seconds=args.seconds,
    )


def look(config: CorpusConfig, *, as_json: bool) -> None:
    """Draw the sheet, or do the work of `fits`, `videos` or `spoken` and print the report."""
    import torch

    torch.set_num_threads(1)
    if config.part in ("videos", "spoken"):
        _clips(config, as_json=as_json)
        return
    if config.part == "fits":
        _fits(config, as_json=as_json)
        return
    from PIL import Image

    from models.training import sheets

    if config.part == "portraits":
        sheet = sheets.portraits(config.data, config.first, config.count, config.only)
    else:
        sheet = sheets.people(_people(config), config.count)
    Image.fromarray(sheet).save(config.out)
    height, width = sheet.shape[:2]
    facts = {"out": str(config.out), "width_px": width, "height_px": height}
    print(json.dumps(facts) if as_json else f"{config.out}: {width} x {height} px")


def _people(config: CorpusConfig) -> "Iterable[Person]":
    if config.part == "pairs":
        from models.training.pairs import draw_people

        return draw_people(config.data, config.first, config.count, config.states, config.size_px)
    if config.part == "grid":
        from models.training.grid_frames import cut_people

        return cut_people(config.data, config.first, config.count, config.states)
    if config.part == "heads":
        from models.training.heads import draw_heads

        return draw_heads(config.data, config.first, config.count, config.states, config.size_px)
    from models.training.sheets import shards

    return islice(shards(config.data), config.first, config.first + config.count)


def _fits(config: CorpusConfig, *, as_json: bool) -> None:
    from models.training.fits import fit_all, report

    found = report(fit_all(config.data, config.out))
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return
    for folder, fates in found.sets.items():
        print(f"{folder}: " + ", ".join(f"{count} {fate}" for fate, count in fates.items()))
    print(f"{found.portraits} portraits, {found.used} persons used, {found.held_out} of them held out")


def _clips(config: CorpusConfig, *, as_json: bool) -> None:
    from models.training.prepare_clips import LEDGER, prepare

    sources, read = _filmed(config) if config.part == "videos" else _spoken(config)
    found = prepare(sources, read, config.out, config.size_px, quiet=as_json)
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return
    print(f"{found.videos} videos: " + ", ".join(f"{count} {fate}" for fate, count in found.fates.items()))
    if found.pieces_rejected:
        print("of the kept ones: " + ", ".join(f"{n} pieces {fault}" for fault, n in found.pieces_rejected.items()))
    print(f"{found.clips} clips, {found.retimed} videos brought to 25 pictures a second; see {config.out / LEDGER}")


def _filmed(config: CorpusConfig) -> "tuple[list[Source], ReadVideo]":
    from models.training.layouts import find_videos
    from stream.film import read_film

    return find_videos(config.data, config.layout)[: config.limit], read_film


def _spoken(config: CorpusConfig) -> "tuple[list[Source], ReadVideo]":
    from models.registry import load_system
    from stream.spoken import find_speakers, reader, sources

    speakers = find_speakers(config.data, config.speech, config.first, config.limit)
    return sources(speakers), reader(load_system(), speakers, config.seconds)
