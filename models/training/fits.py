"""Fit the rig to every portrait of the corpus and say of each whether it can be used, and if not, why.

Rejects are reported by set, row in that set's landmark file and hash of the person: never by name.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from models.training.corpus import MIN_EYES_PX, Corpus, Portrait, Verdict, fitted, is_held_out, one_each
from models.visavis.ict import Rig, Shape

PORTRAITS_PER_FILE: Final = 256

Fate = Verdict | Literal["blurred", "small", "other photo"]
"""What becomes of a portrait: a fit's verdict; blurred, says the set's index; small, eyes under `MIN_EYES_PX` apart; or
another photo of the same person is taken."""


@dataclass(frozen=True)
class Fit:
    """One portrait with what came out of it.

    Attributes:
        folder: The set.
        row: Its row in the set's landmark file.
        person: Hash of the person.
        fate: Whether it is used, or why not.
        residual_mm: Mean distance of the fitted from the given points.
        yaw_deg: Of the head.
        pitch_deg: Of the head.
    """

    folder: str
    row: int
    person: str
    fate: Fate
    residual_mm: float
    yaw_deg: float
    pitch_deg: float


@dataclass(frozen=True)
class Report:
    """What the corpus is made of.

    Attributes:
        portraits: How many were fitted.
        sets: How many of each set have which fate.
        used: How many persons have a portrait that is used.
        held_out: How many of those are kept from training.
        rejects: All portraits that are not used.
    """

    portraits: int
    sets: dict[str, dict[str, int]]
    used: int
    held_out: int
    rejects: tuple[Fit, ...]


def fate_of(portrait: Portrait, verdict: Verdict, *, chosen: bool) -> Fate:
    """What becomes of a portrait with this verdict; `chosen` says if it is the one photo taken of its person."""
    if not portrait.sharp:
        return "blurred"
    if portrait.eyes_px < MIN_EYES_PX:
        return "small"
    if not chosen:
        return "other photo"
    return verdict


def fit_all(data: Path, out: Path, limit: int | None = None) -> list[Fit]:
    """Fit every portrait, or the first `limit`, 256 to a file; files that are there are kept.

    Each `fits-NNN.npz` holds the fields of `Shape` stacked [N, ...] in px of the photo and the columns of `Fit`.
    """
    rig, corpus = Rig.load(), Corpus(data)
    portraits = corpus.portraits[:limit]
    chosen = {(p.folder, p.file) for p in one_each(corpus.portraits)}
    first = {p.folder: i for i, p in reversed(list(enumerate(corpus.portraits)))}
    out.mkdir(parents=True, exist_ok=True)
    fits: list[Fit] = []
    with tqdm(total=len(portraits), unit="portrait", desc="fit") as bar:
        for start in range(0, len(portraits), PORTRAITS_PER_FILE):
            path = out / f"fits-{start // PORTRAITS_PER_FILE:03d}.npz"
            some = portraits[start : start + PORTRAITS_PER_FILE]
            kept = _read(path) if path.exists() else []
            if len(kept) != len(some):
                kept = []
                shapes: list[Shape] = []
                for row, (portrait, shape, verdict) in enumerate(fitted(rig, some), start):
                    fate = fate_of(portrait, verdict, chosen=(portrait.folder, portrait.file) in chosen)
                    kept.append(_fit(portrait, row - first[portrait.folder], fate, shape))
                    shapes.append(shape)
                    bar.update()
                _write(path, kept, shapes)
            else:
                bar.update(len(kept))
            fits += kept
    return fits


def _fit(portrait: Portrait, row: int, fate: Fate, shape: Shape) -> Fit:
    yaw, pitch, _ = (round(angle, 1) for angle in shape.angles_deg.tolist())
    return Fit(portrait.folder, row, portrait.person, fate, round(float(shape.residual_cm) * 10, 2), yaw, pitch)


def _write(path: Path, fits: Sequence[Fit], shapes: Sequence[Shape]) -> None:
    """One file, whole or not at all."""
    columns: dict[str, NDArray[np.generic]] = {
        name: np.array([asdict(fit)[name] for fit in fits]) for name in Fit.__dataclass_fields__
    }
    tensors = [shape.tensors() for shape in shapes]
    columns |= {name: torch.stack([t[name] for t in tensors]).numpy() for name in tensors[0]}
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **columns)
    partial.rename(path)


def _read(path: Path) -> list[Fit]:
    with np.load(path) as file:
        columns = [file[name].tolist() for name in Fit.__dataclass_fields__]
    return [Fit(*row) for row in zip(*columns, strict=True)]


def report(fits: Sequence[Fit]) -> Report:
    """Sum up what `fit_all` gave."""
    sets: dict[str, Counter[str]] = {}
    for fit in fits:
        sets.setdefault(fit.folder, Counter())[fit.fate] += 1
    used = {fit.person for fit in fits if fit.fate == "kept"}
    return Report(
        portraits=len(fits),
        sets={folder: dict(counts.most_common()) for folder, counts in sets.items()},
        used=len(used),
        held_out=sum(is_held_out(person) for person in used),
        rejects=tuple(fit for fit in fits if fit.fate != "kept"),
    )
