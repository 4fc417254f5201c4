"""Make training pairs: real portraits re-drawn in other states of mouth, lids, gaze and head.

    python -m models.training.pairs --data DIR --out DIR --persons 450
    python -m models.training.pairs --data DIR --sheet FILE --persons 6

Each file holds some persons: `images` uint8 [P, N, 256, 256, 3] (image 0 is the photo itself), `controls` float32
[P, N, 57] relative to the person at rest, the fields of `models.visavis.ict.Shape` stacked [P, ...] in frame pixels,
`held_out` bool [P], `set` [P], `valid` float32 [P, 4]: the part of the frame that the photo covers (x0, y0, x1, y1 in
px; beyond it the photo's edge is repeated), and `points` float32 [P, N, 478, 2]: the face mesh in px. With `--truth`
also the fields of `models.training.truth.Truth`, stacked [P, ...]. No names.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from models.training.corpus import Corpus, Portrait, choose, fitted
from models.training.mesh_points import carried
from models.training.raster import Raster
from models.training.relight import Relight, scene_ratio
from models.training.scene import Scene, own_controls
from models.training.states import random_controls
from models.training.truth import Truth, scene_truth
from models.visavis.fit import crop, crop_box, shape_in_frame, to_frame
from models.visavis.ict import Rig, Shape

PERSONS_PER_FILE = 25


@dataclass(frozen=True)
class Person:
    """One person's pairs, as they are stored."""

    images: NDArray[np.uint8]
    controls: NDArray[np.float32]
    shape: Shape
    held_out: bool
    folder: str
    valid: NDArray[np.float32]
    points: NDArray[np.float32] | None = None
    truth: Truth | None = None


@dataclass(frozen=True)
class Extras:
    """What pairs may have beyond the plain pictures.

    Attributes:
        truth: Keep flow, visibility, matte and landmarks with them.
        light: Put every person in another, random light.
    """

    truth: bool = False
    light: bool = False


def make_person(
    rig: Rig,
    raster: Raster,
    portrait: Portrait,
    photo: NDArray[np.uint8],
    shape: Shape,
    states: int,
    extras: Extras = Extras(),
) -> Person:
    """Draw one fitted portrait in `states` states, the photo itself among them; seeded by the person."""
    rng = np.random.default_rng(int(portrait.person, 16))
    size_px = raster.size_px
    box = crop_box(shape)
    framed = shape_in_frame(shape, box, size_px)
    scene = Scene(rig, framed, photo, box, size_px, rng)
    own = own_controls(framed)
    controls = torch.stack([own, *(random_controls(rng, own) for _ in range(states - 1))])
    raster.photo(scene.texture)
    drawn = [raster.draw(*state) for state in scene.states(controls[1:])]
    height, width = photo.shape[:2]
    valid = to_frame(torch.tensor([[0.0, 0.0], [float(width), float(height)]]), box, size_px).flatten()
    images = np.stack([crop(photo, box, size_px), *drawn])
    if extras.light:
        relit = Relight.random(rng)
        images = relit.on(images, scene_ratio(scene, raster, controls, relit))
    return Person(
        images=images,
        controls=controls.numpy(),
        shape=framed,
        held_out=portrait.held_out,
        folder=portrait.folder,
        valid=valid.numpy(),
        points=carried(rig, framed, to_frame(portrait.points_px, box, size_px), controls).numpy(),
        truth=scene_truth(scene, raster, controls) if extras.truth else None,
    )


def save(path: Path, people: list[Person]) -> None:
    """Write one file of persons, whole or not at all."""
    arrays: dict[str, NDArray[np.generic]] = {
        "images": np.stack([p.images for p in people]),
        "controls": np.stack([p.controls for p in people]),
        "held_out": np.array([p.held_out for p in people]),
        "set": np.array([p.folder for p in people]),
        "valid": np.stack([p.valid for p in people]),
    }
    tensors = [p.shape.tensors() for p in people]
    arrays |= {name: torch.stack([t[name] for t in tensors]).numpy() for name in tensors[0]}
    points = [p.points for p in people if p.points is not None]
    if points:
        arrays["points"] = np.stack(points)
    truths = [p.truth for p in people if p.truth is not None]
    if truths:
        arrays |= {f.name: np.stack([getattr(truth, f.name) for truth in truths]) for f in fields(Truth)}
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    partial.rename(path)


def read(path: Path) -> Iterator[Person]:
    """The persons of one file that `save` wrote."""
    with np.load(path) as file:
        columns = {name: file[name] for name in file.files}
    for i in range(len(columns["images"])):
        yield Person(
            images=columns["images"][i],
            controls=columns["controls"][i],
            shape=Shape(**{f.name: torch.from_numpy(np.asarray(columns[f.name][i])) for f in fields(Shape)}),
            held_out=bool(columns["held_out"][i]),
            folder=str(columns["set"][i]),
            valid=columns["valid"][i],
            points=columns["points"][i] if "points" in columns else None,
            truth=Truth(**{f.name: columns[f.name][i] for f in fields(Truth)}) if "flow" in columns else None,
        )


def usable(corpus: Corpus, rig: Rig, persons: int, report: Counter[str]) -> Iterator[tuple[Portrait, Shape]]:
    """The first `persons` portraits that fit; `report` counts the verdicts."""
    for portrait, shape, verdict in fitted(rig, choose(corpus.portraits, persons)):
        report[verdict] += 1
        if verdict == "kept":
            yield portrait, shape
        if report["kept"] == persons:
            return


def make_pairs(
    data: Path,
    out: Path,
    persons: int,
    states: int,
    size_px: int,
    worker: int = 0,
    workers: int = 1,
    extras: Extras = Extras(),
) -> Counter[str]:
    """Write the files of this worker that are not there yet. Returns how many portraits got which verdict."""
    rig, corpus, raster = Rig.load(), Corpus(data), Raster(size_px)
    report: Counter[str] = Counter()
    out.mkdir(parents=True, exist_ok=True)
    batch: list[Person] = []
    unfinished: Path | None = None
    source = usable(corpus, rig, persons, report)
    for number, (portrait, shape) in enumerate(tqdm(source, total=persons, unit="person")):
        chunk = number // PERSONS_PER_FILE
        path = out / f"pairs-{chunk:03d}.npz"
        if chunk % workers != worker or path.exists():
            continue
        batch.append(make_person(rig, raster, portrait, corpus.photo(portrait), shape, states, extras))
        unfinished = path
        if len(batch) == PERSONS_PER_FILE:
            save(path, batch)
            batch = []
    if batch and unfinished is not None:
        save(unfinished, batch)
    return report


def draw_people(data: Path, first: int, count: int, states: int, size_px: int) -> Iterator[Person]:
    """Draw the usable persons from number `first` on, without storing them."""
    rig, corpus, raster = Rig.load(), Corpus(data), Raster(size_px)
    for portrait, shape in islice(usable(corpus, rig, first + count, Counter()), first, None):
        yield make_person(rig, raster, portrait, corpus.photo(portrait), shape, states)


def make_sheet(data: Path, file: Path, persons: int, states: int, size_px: int, skip: int) -> None:
    """A picture to look at: a row per person, the photo first."""
    from PIL import Image

    rows = [np.concatenate(list(p.images), axis=1) for p in draw_people(data, skip, persons, states, size_px)]
    Image.fromarray(np.concatenate(rows)).save(file)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    out = argparse.ArgumentParser(description="Re-draw portraits in random states, as training pairs.")
    out.add_argument("--data", type=Path, required=True, help="folder with the photos and their landmarks")
    where = out.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, help="folder to write pairs-NNN.npz to; what is there is kept")
    where.add_argument("--sheet", type=Path, help="write a PNG contact sheet instead")
    out.add_argument("--persons", type=int, default=450)
    out.add_argument("--states", type=int, default=14, help="images per person, the photo included")
    out.add_argument("--size", type=int, default=256, help="side of the pictures in px")
    out.add_argument("--skip", type=int, default=0, help="persons to leave out of a sheet")
    out.add_argument("--worker", type=int, default=0, help="which of --workers this process is")
    out.add_argument("--workers", type=int, default=1)
    out.add_argument("--truth", action="store_true", help="keep flow, visibility, matte and landmarks too")
    out.add_argument("--light", action="store_true", help="put every person in another, random light")
    out.add_argument("--json", action="store_true", help="print the report as JSON")
    return out


def main() -> None:
    args = parser().parse_args()
    torch.set_num_threads(1)
    if args.sheet is not None:
        make_sheet(args.data, args.sheet, args.persons, args.states, args.size, args.skip)
        return
    extras = Extras(args.truth, args.light)
    report = make_pairs(args.data, args.out, args.persons, args.states, args.size, args.worker, args.workers, extras)
    if args.json:
        json.dump(report, sys.stdout)
        print()
    else:
        print(", ".join(f"{count} {verdict}" for verdict, count in report.most_common()))


if __name__ == "__main__":
    main()
