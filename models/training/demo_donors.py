"""Who is blended into each demo identity: rows of the corpus, and the roles they play."""

import io
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

_FOLDERS: Final = {"c": "congress-portraits", "u": "us-officials-416", "f": "fairface-subset"}
_LANDMARK_ONE: Final = 32768.0
_LANDMARK_ZERO: Final = 16384.0


@dataclass(frozen=True)
class Recipe:
    """One identity. A donor is a folder's letter and a row of that folder's landmark file: `c161`.

    Attributes:
        name: File name of the portrait, without its ending.
        lips: Donors with closed lips: they alone form the mouth, and their mean is where the new shape starts.
        rest: Donors of everything but the mouth.
        seed: Of the identity's shape and of the borders between the donors' skin.
        shape_sd: How far the shape lies from the mean, in standard deviations of the donors.
    """

    name: str
    lips: tuple[str, ...]
    rest: tuple[str, ...]
    seed: int
    shape_sd: float


@dataclass(frozen=True)
class Donor:
    """One photo of the corpus.

    Attributes:
        pixels: Picture, [3, H, W], float, sRGB 0 to 1.
        points: MediaPipe's face mesh, [478, 3], px of the picture, z towards the back.
        plain: Whether the photo has the studio's plain ground, so that hair and clothes may come from it.
        closed: Whether its lips are closed.
    """

    pixels: Tensor
    points: NDArray[np.float64]
    plain: bool
    closed: bool


RECIPES: Final = (
    Recipe(
        name="milo",
        lips=("c161", "c230", "c275", "c289", "c345", "c390", "u204", "u196", "u207", "u602", "u502", "u304"),
        rest=(
            *("c37", "c51", "c65", "c91", "c101", "c123", "c153", "c154", "c193", "c208", "c259"),
            *("c272", "c274", "c285", "c342", "c371", "c412"),
        ),
        seed=3,
        shape_sd=1.0,
    ),
    Recipe(
        name="ada",
        lips=("c39", "c99", "c287", "c169", "c367", "u384", "u708", "u377", "u405", "u412"),
        rest=("c15", "c52", "c69", "c85", "c88", "c115", "c244", "c304", "c349", "c376", "c160", "c96"),
        seed=5,
        shape_sd=1.0,
    ),
)


def load_donor(data: Path, tag: str, *, closed: bool) -> Donor:
    """Read one donor of the corpus folder `data`, as `Recipe` names it."""
    folder, row = _FOLDERS[tag[0]], int(tag[1:])
    names, sizes_px, landmarks = _table(data / "landmarks" / f"{folder}.npz")
    name, size_px = str(names[row]), sizes_px[row].astype(np.float64)
    unit = (landmarks[row].astype(np.float64) - _LANDMARK_ZERO) / _LANDMARK_ONE
    points = (unit - (0.0, 0.0, 0.5)) * (size_px[0], size_px[1], size_px[0])
    pixels = np.asarray(Image.open(_open(data / folder, name)).convert("RGB"), dtype=np.float32) / 255.0
    return Donor(torch.from_numpy(pixels).permute(2, 0, 1), points, tag[0] == "c", closed)


@lru_cache
def _table(path: Path) -> tuple[NDArray[np.str_], NDArray[np.uint16], NDArray[np.uint16]]:
    with np.load(path) as file:
        return file["name"], file["size_px"], file["landmarks"]


def _open(folder: Path, name: str) -> io.BytesIO:
    if (folder / name).exists():
        return io.BytesIO((folder / name).read_bytes())
    with zipfile.ZipFile(folder / "img.zip") as archive:
        inside = next(entry for entry in archive.namelist() if Path(entry).name == name)
        return io.BytesIO(archive.read(inside))
