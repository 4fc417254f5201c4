"""What the meter reads where exactly known heads move: the rig draws held-out portraits anew.

    python -m benchmarks.quality.calibrate --data DIR [--persons 40] [--json]

The picture is the rig's own, so the turn, gaze and blink in it are what was commanded. `meter.READS` comes from here.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.quality.controls import SWEEPS, command, quantities
from benchmarks.quality.meter import FaceMeter, Picture
from models.rig import vector
from models.training.corpus import Corpus, fitted
from models.training.raster import Raster
from models.training.scene import Scene
from models.visavis.fit import crop_box, shape_in_frame
from models.visavis.ict import Rig, Shape

FRAME_PX: Final = 256


class ExactPuppet:
    """One person of a photo under controls, drawn by the rig."""

    def __init__(self, rig: Rig, raster: Raster, photo: Picture, shape: Shape) -> None:
        box = crop_box(shape)
        framed = shape_in_frame(shape, box, raster.size_px)
        self._scene = Scene(rig, framed, photo, box, raster.size_px, np.random.default_rng(0))
        self._raster = raster

    def pose(self, **controls: float) -> Picture:
        """The face under these controls, RGB, [S, S, 3], uint8."""
        self._raster.photo(self._scene.texture)
        return self._raster.draw(*self._scene.states(vector(controls)[None])[0])


def readings(puppet: ExactPuppet) -> dict[str, NDArray[np.float64]]:
    """What an uncorrected meter reads of each of `SWEEPS`, in their order and units."""
    meter, out = FaceMeter(puppet.pose()), dict[str, NDArray[np.float64]]()
    for row, (control, values) in enumerate(SWEEPS.items()):
        seen = meter.read(np.stack([meter.points(puppet.pose(**command(control, value))) for value in values]))
        out[control] = quantities(seen)[row]
    return out


def held_out(data: Path, persons: int) -> Iterator[ExactPuppet]:
    """The first held-out portraits with closed lips that the rig fits."""
    rig, corpus, raster = Rig.load(), Corpus(data), Raster(FRAME_PX)
    portraits = [portrait for portrait in corpus.portraits if portrait.held_out and portrait.closed]
    kept = ((portrait, shape) for portrait, shape, verdict in fitted(rig, portraits) if verdict == "kept")
    for _, (portrait, shape) in zip(range(persons), kept, strict=False):
        yield ExactPuppet(rig, raster, corpus.photo(portrait), shape)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the meter of `visavis eval` reads of exactly known faces.")
    parser.add_argument("--data", type=Path, required=True, help="the corpus folder")
    parser.add_argument("--persons", type=int, default=40)
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    seen = [readings(puppet) for puppet in tqdm(held_out(args.data, args.persons), total=args.persons, unit="person")]
    table = {control: _summary(values, [one[control] for one in seen]) for control, values in SWEEPS.items()}
    if args.json:
        print(json.dumps({"persons": len(seen), "quantities": table}, indent=2))
        return
    for control, row in table.items():
        print(control, ", ".join(f"{name} {value}" for name, value in row.items()), sep=": ")


def _summary(commanded: tuple[float, ...], read: list[NDArray[np.float64]]) -> dict[str, object]:
    slopes = [row @ commanded / np.square(commanded).sum() for row in read]
    quartiles = np.quantile(slopes, (0.25, 0.5, 0.75)).round(3).tolist()
    return {"commanded": commanded, "read": np.median(read, axis=0).round(2).tolist(), "slope_quartiles": quartiles}


if __name__ == "__main__":
    main()
