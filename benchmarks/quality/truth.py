"""How near drawn faces come to the truth: re-rendered states of persons that no net has learned from."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from benchmarks.quality.landmark_warp import warp
from benchmarks.quality.meter import Picture
from benchmarks.quality.similarity import WINDOW_PX, psnr_db, ssim
from models.training.features import SqueezeFeatures
from models.training.pairs_dataset import PairSet
from models.training.scene import own_controls
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES, crop, shape_in_frame
from models.visavis.ict import Rig, Shape, pose
from models.visavis.landmarks import INNER_LIPS, OUTER_LIPS, align, load_net, locate_twice
from models.visavis.renderer import FRAME_PX, PHOTO_PX
from models.visavis.system import Visavis, with_margin
from stream.compose import to_pixels

STATES: Final = 4
"""States looked at of each person."""
STRIPS: Final = 8
VIDEO: Final = "grid"
"""Name of the set of `models.training.grid_frames`: one speaker, known to every net."""
Candidate = Literal["model", "landmark warp", "photo itself"]
CANDIDATES: Final[tuple[Candidate, ...]] = ("model", "landmark warp", "photo itself")
Area = Literal["face", "mouth"]
_MOUTH_POINTS: Final = (*INNER_LIPS, *OUTER_LIPS)
_FOREHEAD: Final = 0.3  # of the height from brow to chin: what the 68 points leave out above
_ROUND_MOUTH: Final = 0.35  # of its width: what is looked at around the mouth


class NoPairsError(ValueError):
    """A folder holds no re-rendered states of held-out persons."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return f"got {self.folder} without any held-out persons, want what `python -m models.training.pairs` wrote"


@dataclass(frozen=True)
class Score:
    """How near pictures are to the truth over one area.

    Attributes:
        ssim: Structural similarity, up to 1.
        psnr_db: Peak signal to noise.
        landmarks: LMD: mean distance of the points that our landmark net finds in both, in % of the eyes' distance.
        features: Distance of SqueezeNet's features (`models.training.features`), None without its weights.
    """

    ssim: float
    psnr_db: float
    landmarks: float
    features: float | None


@dataclass(frozen=True)
class TruthReport:
    """The table.

    Attributes:
        persons: How many.
        pairs: How many states of theirs.
        frame_px: Size that all was compared at.
        scores: Mean score of each candidate over each area.
        ahead: Share of the pairs in which the model is the best of the three, for each area and number.
    """

    persons: int
    pairs: int
    frame_px: int
    scores: dict[Candidate, dict[Area, Score]]
    ahead: dict[Area, dict[str, float]]


@dataclass(frozen=True)
class Pair:
    """One truth and the three answers, with where face and mouth lie: boxes (x0, y0, x1, y1), px."""

    truth: Picture
    answers: dict[Candidate, Picture]
    marks_px: NDArray[np.float64]
    boxes: dict[Area, tuple[int, int, int, int]]


def measure_truth(
    system: Visavis, folder: Path, squeezenet: Path | None, persons: int | None = None
) -> tuple[TruthReport, list[list[Picture]]]:
    """Compare, and strips to look at: photo, landmark warp, model, truth.

    Args:
        system: Draws the model's answer, from the photo and the fit that the pairs were made with.
        folder: What `models.training.pairs` wrote; pictures larger than the system's frame are made smaller.
        squeezenet: SqueezeNet 1.1's weights (HDF5), for the feature distance.
        persons: Look at no more persons.

    Raises:
        NoPairsError: If the folder holds no pairs of held-out persons.
    """
    held_out = PairSet(folder, held_out=True, detail=system.frame_px // FRAME_PX)
    chosen = [i for i in range(len(held_out)) if held_out.sets[i] != VIDEO][:persons]
    if not chosen:
        raise NoPairsError(folder)
    features = SqueezeFeatures.load(squeezenet) if squeezenet else None
    scores: dict[tuple[Candidate, Area], list[Score]] = {}
    strips: list[list[Picture]] = []
    rig = Rig.load()
    for person in tqdm(chosen, unit="person", desc="truth", disable=None):
        pairs = list(_pairs(system, rig, held_out, person))
        for pair in pairs:
            for key, score in _judge(pair, features).items():
                scores.setdefault(key, []).append(score)
        if len(strips) < STRIPS:
            answers = pairs[len(strips) % len(pairs)].answers
            shown = [answers[name] for name in reversed(CANDIDATES)]
            strips.append([*shown, pairs[len(strips) % len(pairs)].truth])
    return _report(scores, len(chosen), system.frame_px), strips


def _pairs(system: Visavis, rig: Rig, held_out: PairSet, person: int) -> Iterator[Pair]:
    images, controls = held_out.images[person], held_out.controls[person]
    side = system.frame_px
    shape = Shape.from_tensors(held_out.shapes[person])
    photo = images[0]
    framed = crop(photo, with_margin((0.0, 0.0, float(side), float(side))), PHOTO_PX * side // FRAME_PX)
    identity = system.bind(framed, shape)
    shape = shape_in_frame(shape, (0.0, 0.0, float(FRAME_PX), float(FRAME_PX)), side)
    own = _marks(rig, shape, own_controls(shape))
    states = np.unique(np.linspace(1, len(images) - 1, STATES).round().astype(int))
    for state in states.tolist():
        drawn = to_pixels(system.draw([identity], controls[state][None]))
        marks = _marks(rig, shape, controls[state])
        answers: dict[Candidate, Picture] = {
            "model": drawn,
            "landmark warp": warp(photo, own, marks),
            "photo itself": photo,
        }
        yield Pair(images[state], answers, marks, _boxes(marks, side))


@torch.no_grad()
def _marks(rig: Rig, shape: Shape, controls: Tensor) -> NDArray[np.float64]:
    """Where the rig has the 68 points, [68, 2] px."""
    return pose(rig.subset(rig.landmarks68), shape, controls[None])[0, :, :2].double().numpy()


def _boxes(marks: NDArray[np.float64], side: int) -> dict[Area, tuple[int, int, int, int]]:
    low, high = marks.min(axis=0), marks.max(axis=0)
    low[1] -= _FOREHEAD * (high[1] - low[1])
    mouth_low, mouth_high = marks[48:].min(axis=0), marks[48:].max(axis=0)
    around = _ROUND_MOUTH * (mouth_high[0] - mouth_low[0])
    return {"face": _inside(low, high, side), "mouth": _inside(mouth_low - around, mouth_high + around, side)}


def _inside(low: NDArray[np.float64], high: NDArray[np.float64], side: int) -> tuple[int, int, int, int]:
    x0, y0 = (int(v) for v in np.floor(low).clip(0, side - WINDOW_PX))
    x1, y1 = (int(v) for v in np.ceil(high).clip(WINDOW_PX, side))
    return x0, y0, x1, y1


def _judge(pair: Pair, features: SqueezeFeatures | None) -> dict[tuple[Candidate, Area], Score]:
    net = load_net()
    place = align(net.mean_shape.double().numpy()[list(MEDIAPIPE_68)], pair.marks_px)
    wanted = locate_twice(net, pair.truth, place)[1]
    eyes = float(np.linalg.norm(np.subtract(*wanted[list(MEDIAPIPE_IRISES)])))
    out: dict[tuple[Candidate, Area], Score] = {}
    for name, answer in pair.answers.items():
        off = np.linalg.norm(locate_twice(net, answer, place)[1] - wanted, axis=1) * 100 / eyes
        for area, (x0, y0, x1, y1) in pair.boxes.items():
            one, two = answer[y0:y1, x0:x1], pair.truth[y0:y1, x0:x1]
            out[name, area] = Score(
                ssim(one, two),
                psnr_db(one, two),
                float(off[list(_MOUTH_POINTS)].mean() if area == "mouth" else off.mean()),
                None if features is None else float(features.distance(_levels(one), _levels(two))),
            )
    return out


def _levels(picture: Picture) -> Tensor:
    """[H, W, 3] as [1, 3, H, W], -1 to 1."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1.0


def _report(scores: dict[tuple[Candidate, Area], list[Score]], persons: int, frame_px: int) -> TruthReport:
    rows = {key: [asdict(score) for score in many] for key, many in scores.items()}
    names = [field.name for field in fields(Score) if rows["model", "face"][0][field.name] is not None]
    means: dict[Candidate, dict[Area, Score]] = {}
    for (name, area), many in rows.items():
        mean = {n: round(float(np.mean([row[n] for row in many])), 4) for n in names}
        means.setdefault(name, {})[area] = Score(mean["ssim"], mean["psnr_db"], mean["landmarks"], mean.get("features"))
    ahead: dict[Area, dict[str, float]] = {}
    areas: tuple[Area, ...] = ("face", "mouth")
    for area in areas:
        for n in names:
            sign = 1.0 if n in ("ssim", "psnr_db") else -1.0
            model, *others = (sign * np.array([row[n] for row in rows[name, area]]) for name in CANDIDATES)
            ahead.setdefault(area, {})[n] = round(float((model > np.max(others, axis=0)).mean()), 3)
    return TruthReport(persons, len(rows["model", "face"]), frame_px, means, ahead)
