"""Rendered states of many persons in memory, drawn as pairs: one state is the photo, another one the truth."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.visavis.fit import FRAME_PX
from models.visavis.ict import Shape

_IN_PX = ("scale_px_per_cm", "centre_px")


@dataclass(frozen=True)
class PairBatch:
    """Pairs of two states of one person.

    Attributes:
        photo: The state given, [B, 3, 256 d, 256 d], float32, -1 to 1.
        own: Its controls relative to rest, [B, 57].
        truth: The state wanted, [B, 3, 256 d, 256 d].
        controls: Its controls relative to rest, [B, 57].
        shape: The persons, in frame pixels.
    """

    photo: Tensor
    own: Tensor
    truth: Tensor
    controls: Tensor
    shape: Shape


class PairSet:
    """What `models.training.pairs` wrote to a folder, or the part of it that is (or is not) held out.

    Args:
        folder: The shards; larger pictures are made smaller, those that are too small are left out.
        held_out: Which persons.
        detail: Pixels of a picture along a frame pixel, d.
    """

    def __init__(self, folder: Path, *, held_out: bool, detail: int = 1) -> None:
        self.images: list[np.ndarray] = []  # one person each, [N, 256 d, 256 d, 3] uint8
        self.controls: list[Tensor] = []
        self.shapes: list[dict[str, Tensor]] = []
        self.sets: list[str] = []
        names = [field.name for field in fields(Shape)]
        for path in sorted(folder.glob("*.npz")):
            shard = np.load(path)
            columns = {name: shard[name] for name in (*names, "images", "controls", "held_out", "set")}
            shrink, rest = divmod(columns["images"].shape[2], FRAME_PX * detail)
            if shrink == 0 or rest:
                continue
            for i in np.flatnonzero(columns["held_out"] == held_out):
                self.images.append(_smaller(columns["images"][i], shrink))
                self.controls.append(torch.from_numpy(columns["controls"][i]).float())
                shape = {name: torch.from_numpy(np.asarray(columns[name][i])).float() for name in names}
                for name in _IN_PX:
                    shape[name] = shape[name] / (shrink * detail)
                self.shapes.append(shape)
                self.sets.append(str(np.broadcast_to(columns["set"], len(columns["images"]))[i]))

    def __len__(self) -> int:
        return len(self.images)

    def draw(
        self, batch: int, random: np.random.Generator, *, photo_share: float = 0.5, same_share: float = 0.15
    ) -> PairBatch:
        """Pairs of random persons; the photo itself (state 0) is the given state in `photo_share` of them.

        In `same_share` of them the state wanted is the one given: what need not change must not.
        """
        who = random.integers(len(self), size=batch)
        pairs = [(int(p), *self._states(int(p), random, photo_share, same_share)) for p in who]
        return self.pairs(pairs)

    def pairs(self, chosen: list[tuple[int, int, int]]) -> PairBatch:
        """These pairs: (person, state given, state wanted)."""
        shape = {name: torch.stack([self.shapes[p][name] for p, _, _ in chosen]) for name in self.shapes[0]}
        return PairBatch(
            _pictures([self.images[p][s] for p, s, _ in chosen]),
            torch.stack([self.controls[p][s] for p, s, _ in chosen]),
            _pictures([self.images[p][t] for p, _, t in chosen]),
            torch.stack([self.controls[p][t] for p, _, t in chosen]),
            Shape.from_tensors(shape),
        )

    def _states(
        self, person: int, random: np.random.Generator, photo_share: float, same_share: float
    ) -> tuple[int, int]:
        count = len(self.images[person])
        given = 0 if random.random() < photo_share else int(random.integers(count))
        ahead = 0 if random.random() < same_share else int(random.integers(1, count))
        return given, (given + ahead) % count


def _smaller(images: np.ndarray, shrink: int) -> np.ndarray:
    """Means of `shrink` by `shrink` pixels, [N, H, W, 3] uint8."""
    if shrink == 1:
        return images.copy()  # so that the shard can be let go
    total = np.zeros((len(images), images.shape[1] // shrink, images.shape[2] // shrink, 3), np.uint16)
    for y, x in np.ndindex(shrink, shrink):
        total += images[:, y::shrink, x::shrink]
    return ((total + shrink**2 // 2) // shrink**2).astype(np.uint8)


def _pictures(images: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
