"""The portraits to learn from: who is in them, which are fit to use, and who is held out.

Three folders of photos with MediaPipe landmarks; none of their people is ever named in what is made from them.
"""

import csv
import hashlib
import io
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES, fit_many, lid_gap_cm
from models.visavis.ict import Rig, Shape, person

SETS: Final = ("us-officials-416", "congress-portraits", "fairface-subset")
FACES_ONLY: Final = "fairface-subset"
HELD_OUT_PERCENT: Final = 8
CLOSED_APERTURE: Final = 0.04
MAX_YAW_DEG: Final = 10.0
MAX_PITCH_DEG: Final = 16.0
MAX_RESIDUAL_CM: Final = 0.19
MIN_LID_GAP_CM: Final = 0.4
MIN_EYES_PX: Final = 40.0
MIN_SHARPNESS: Final = 150.0
FIT_BATCH: Final = 64

Verdict = Literal["kept", "turned", "residual", "eyes shut"]


@dataclass(frozen=True)
class Portrait:
    """One photo of the corpus and what is known without a fit.

    Attributes:
        folder: One of `SETS`.
        file: Name of the photo in the folder.
        person: Hash that all photos of one person share.
        group: What to balance over, "" where unknown.
        points_px: The face mesh, [478, 2], px, x right, y down.
        sharp: False if the set's index says that the photo is blurred.
    """

    folder: str
    file: str
    person: str
    group: str
    points_px: Tensor
    sharp: bool

    @property
    def points68_px(self) -> Tensor:
        """The Multi-PIE points, [68, 2], px."""
        return self.points_px[list(MEDIAPIPE_68)]

    @property
    def iris_px(self) -> Tensor:
        """Iris centres, left and right, [2, 2], px."""
        return self.points_px[list(MEDIAPIPE_IRISES)]

    @property
    def aperture(self) -> float:
        """How far the inner lips are apart, as a share of the mouth's width."""
        upper, lower, right, left = self.points_px[[13, 14, 61, 291]]
        return float((upper - lower).norm() / (right - left).norm())

    @property
    def held_out(self) -> bool:
        """Whether the person is kept from training."""
        return is_held_out(self.person)

    @property
    def closed(self) -> bool:
        """Whether the lips are together."""
        return self.aperture < CLOSED_APERTURE

    @property
    def eyes_px(self) -> float:
        """Distance of the irises."""
        return float((self.iris_px[0] - self.iris_px[1]).norm())


def person_hash(key: str) -> str:
    """An anonymous, stable hash of whatever identifies a person."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def is_held_out(person: str) -> bool:
    """THE split: whether the person of a `person_hash` is kept from training, whatever is trained."""
    return int(person, 16) % 100 < HELD_OUT_PERCENT


def same_person(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """For every file named in `pairs` the file that stands for its person (the smallest connected name)."""
    stands: dict[str, str] = {}

    def root(name: str) -> str:
        while stands.setdefault(name, name) != name:
            name = stands[name]
        return name

    for first, second in pairs:
        low, high = sorted((root(first), root(second)))
        stands[high] = low
    return {name: root(name) for name in list(stands)}


class People:
    """Who is who in the photos under a data folder."""

    def __init__(self, data: Path) -> None:
        with (data / "us-officials-416" / "same_person_pairs.csv").open() as file:
            self._stands = same_person((row["us_officials"], row["congress_portraits"]) for row in csv.DictReader(file))

    def of(self, folder: str, file: str) -> str:
        """The hash of the person on a photo, the same for all photos that are known to show that person."""
        return person_hash(self._stands.get(file, f"{folder}/{file}"))


def decode(raw: NDArray[np.uint16], size_px: NDArray[np.uint16]) -> Tensor:
    """Stored landmarks [478, 3] as px [478, 2]."""
    return torch.from_numpy(((raw[:, :2].astype(np.float64) - 16384) / 32768 * size_px).astype(np.float32))


class Corpus:
    """The portraits under one data folder."""

    def __init__(self, data: Path) -> None:
        self.data = data

    @cached_property
    def portraits(self) -> list[Portrait]:
        """Every photo that has landmarks, in a fixed order."""
        people = People(self.data)
        with (self.data / FACES_ONLY / "index.csv").open() as file:
            faces = {row["file"]: row for row in csv.DictReader(file)}
        out: list[Portrait] = []
        for folder in SETS:
            marks = np.load(self.data / "landmarks" / f"{folder}.npz")
            for name, raw, size_px in zip(marks["name"], marks["landmarks"], marks["size_px"], strict=True):
                file = str(name)
                face = faces.get(file) if folder == FACES_ONLY else None
                out.append(
                    Portrait(
                        folder=folder,
                        file=file,
                        person=people.of(folder, file),
                        group=f"{face['race']}/{face['gender']}" if face else "",
                        points_px=decode(raw, size_px),
                        sharp=face is None or float(face["laplacian_var"]) >= MIN_SHARPNESS,
                    )
                )
        return out

    @cached_property
    def _zip(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(self.data / FACES_ONLY / "img.zip")

    def photo(self, portrait: Portrait) -> NDArray[np.uint8]:
        """The photo, RGB, [H, W, 3]."""
        from PIL import Image

        if portrait.folder == FACES_ONLY:
            member = next(name for name in self._zip.namelist() if name.endswith(portrait.file))
            return np.asarray(Image.open(io.BytesIO(self._zip.read(member))).convert("RGB"))
        return np.asarray(Image.open(self.data / portrait.folder / portrait.file).convert("RGB"))


def one_each(portraits: Sequence[Portrait]) -> list[Portrait]:
    """One photo per person, with closed lips where there is one."""
    by_person: dict[str, Portrait] = {}
    for portrait in portraits:
        before = by_person.get(portrait.person)
        if before is None or (portrait.closed and not before.closed):
            by_person[portrait.person] = portrait
    return list(by_person.values())


def choose(portraits: Sequence[Portrait], persons: int, closed_share: float = 0.7) -> list[Portrait]:
    """One photo per person, `closed_share` of them with closed lips, half faces only, balanced over their groups.

    More are returned than asked for (some will not fit), best first, so that any prefix has the wanted mixture.
    """
    usable = [p for p in one_each(portraits) if p.sharp and p.eyes_px >= MIN_EYES_PX]
    usable.sort(key=lambda p: p.person)
    heads = [p for p in usable if p.folder != FACES_ONLY]
    faces = balanced([p for p in usable if p.folder == FACES_ONLY])
    return mixed(
        ([p for p in heads if p.closed], closed_share / 2),
        ([p for p in faces if p.closed], closed_share / 2),
        ([p for p in heads if not p.closed], (1 - closed_share) * 0.75),
        ([p for p in faces if not p.closed], (1 - closed_share) * 0.25),
    )[: 4 * persons]


def balanced(portraits: Sequence[Portrait]) -> list[Portrait]:
    """The same portraits with their groups taking turns."""
    turn: Counter[str] = Counter()
    keyed: list[tuple[int, str, Portrait]] = []
    for portrait in portraits:
        keyed.append((turn[portrait.group], portrait.group, portrait))
        turn[portrait.group] += 1
    return [portrait for _, _, portrait in sorted(keyed, key=lambda item: item[:2])]


def mixed(*lists: tuple[Sequence[Portrait], float]) -> list[Portrait]:
    """All portraits of several lists, interleaved so that each list has its share of every prefix while it lasts."""
    keyed = [
        ((place + 0.5) / share, which, portrait)
        for which, (portraits, share) in enumerate(lists)
        for place, portrait in enumerate(portraits)
    ]
    return [portrait for _, _, portrait in sorted(keyed, key=lambda item: item[:2])]


def verdict(rig: Rig, shape: Shape) -> Verdict:
    """Whether a fitted portrait can be re-projected, or why not."""
    yaw, pitch, _ = shape.angles_deg.abs().tolist()
    if yaw > MAX_YAW_DEG or pitch > MAX_PITCH_DEG:
        return "turned"
    if float(shape.residual_cm) > MAX_RESIDUAL_CM:
        return "residual"
    face = person(rig, shape) + torch.einsum("k,kvc->vc", shape.expression, rig.expression)
    if min(float(gap.mean()) for gap in lid_gap_cm(rig, face)) < MIN_LID_GAP_CM:
        return "eyes shut"
    return "kept"


def fitted(rig: Rig, portraits: Sequence[Portrait]) -> Iterable[tuple[Portrait, Shape, Verdict]]:
    """Fit portraits in batches and judge them."""
    for start in range(0, len(portraits), FIT_BATCH):
        some = portraits[start : start + FIT_BATCH]
        shapes = fit_many(rig, torch.stack([p.points68_px for p in some]), torch.stack([p.iris_px for p in some]))
        for portrait, shape in zip(some, shapes, strict=True):
            yield portrait, shape, verdict(rig, shape)
