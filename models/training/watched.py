"""A set's clips as one system sees and hears them, kept in memory where the whole set fits."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from models.training.clips import ClipSet
from models.training.crops import Crop, faces, mesh_points, mouth_centres, windows

MEMORY_BYTES: Final = 4 << 30
_LATER: Final = (2, 7)


class Watched:
    """Crops and windows of a set.

    Attributes:
        clips: The set.
        size_px: Side of the crops.
    """

    def __init__(self, clips: ClipSet, crop: Crop, size_px: int, front_end: str) -> None:
        self.clips, self.size_px = clips, size_px
        self._crop: Crop = crop
        self._front_end = front_end
        whole = sum(one.frames for one in clips.clips) * 3 * size_px**2
        self._keeps = whole <= MEMORY_BYTES
        self._seen, self._heard = dict[int, Tensor](), dict[int, Tensor]()

    def faces(self, row: int, frames: Sequence[int]) -> Tensor:
        """Crops of a clip's frames, [n, 3, size_px, size_px], -1 to 1."""
        if not self._keeps:
            return faces(self.clips[row], self._crop, frames, self.size_px)
        if row not in self._seen:
            clip = self.clips[row]
            whole = faces(clip, self._crop, range(len(clip)), self.size_px)
            self._seen[row] = ((whole + 1) * 127.5).round().byte()
        return self._seen[row][torch.tensor(list(frames))].float() / 127.5 - 1

    def windows(self, row: int, frames: Sequence[int]) -> Tensor:
        """What the system hears of a clip's frames, [n, rows, bands]."""
        if not self._keeps:
            return windows(self.clips[row], self._front_end, frames)
        if row not in self._heard:
            clip = self.clips[row]
            self._heard[row] = windows(clip, self._front_end, range(len(clip)))
        return self._heard[row][torch.tensor(list(frames))]

    def spectra(self, row: int, frames: Sequence[int]) -> Tensor:
        """`windows` as networks for mel spectra take them, [n, 1, bands, rows]."""
        return self.windows(row, frames).transpose(1, 2)[:, None]

    def mouth_centres(self, row: int, frames: Sequence[int]) -> Tensor:
        """Middles of the mouths in the crops, x, y, px, [n, 2]."""
        return mouth_centres(self.clips[row], self._crop, frames, self.size_px)

    def mesh_points(self, row: int, frames: Sequence[int]) -> Tensor:
        """The mesh points in the crops, x, y, [n, 478, 2]; the crop's edges are 0 and 1."""
        return mesh_points(self.clips[row], self._crop, frames)

    def coefficients(self, row: int) -> Tensor:
        """Of all frames of a clip, [T, 70]."""
        return torch.from_numpy(self.clips[row].coefficients)

    def person(self, row: int) -> int:
        """The person's number."""
        return self.clips.persons.index(self.clips.clips[row].person)

    def start(self, row: int, frames: int, random: torch.Generator) -> int:
        """Where a stretch of so many frames begins."""
        return whole(0, self.clips.clips[row].frames - frames + 1, random)

    def frame(self, row: int, random: torch.Generator) -> int:
        """Any frame of a clip."""
        return whole(0, self.clips.clips[row].frames, random)

    def two_frames(self, row: int, random: torch.Generator) -> list[int]:
        """Any frame of a clip and one a few later, when lips have moved and the head hardly has."""
        later = whole(*_LATER, random)
        first = whole(0, self.clips.clips[row].frames - later, random)
        return [first, first + later]


def whole(low: int, end: int, random: torch.Generator) -> int:
    """A whole number from `low` to below `end`."""
    return int(torch.randint(low, end, (), generator=random))


def chance(random: torch.Generator) -> float:
    """A number from 0 to 1."""
    return float(torch.rand((), generator=random))
