"""Photos with mesh labels, cut out around the face, and what is done to them so that every look differs."""

import io
import math
import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from models.training.corpus import SETS, People, is_held_out
from models.visavis.landmarks import CROP_PX, IRISES, POINTS, align

STORED_PX: Final = 256
STORED_SIDE: Final = 1.5
"""Side of a stored crop, in sides of the crop that the net sees."""
FACE_HEIGHT: Final = 0.74
"""Height of the mean face, forehead to chin, in crop units."""


@dataclass(frozen=True)
class Photo:
    """One labelled photo.

    Attributes:
        source: Folder it comes from.
        name: File name.
        person: Hash that all photos of one person share (`models.training.corpus.People`).
        points_px: Mesh points x, y, z in photo pixels, [478, 3].
    """

    source: str
    name: str
    person: str
    points_px: NDArray[np.float64]

    @property
    def held_out(self) -> bool:
        """Whether the person is kept from training, here as everywhere."""
        return is_held_out(self.person)


def list_photos(data: Path) -> list[Photo]:
    """Every labelled photo under the data folder."""
    people = People(data)
    photos: list[Photo] = []
    for source in SETS:
        with np.load(data / "landmarks" / f"{source}.npz") as labels:
            values = (labels["landmarks"].astype(np.float64) - 16384) / 32768
            for name, size_px, points in zip(labels["name"].tolist(), labels["size_px"], values, strict=True):
                width, height = size_px.tolist()
                scaled = (points - (0, 0, 0.5)) * (width, height, width)
                photos.append(Photo(source, name, people.of(source, name), scaled))
    return photos


class PhotoReader:
    """Opens the photos, whether they lie in a folder or in a zip file."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._zips: dict[str, zipfile.ZipFile] = {}

    def read(self, photo: Photo) -> NDArray[np.uint8]:
        """The picture, RGB, [H, W, 3], uint8."""
        folder = self._data / photo.source
        if (folder / photo.name).exists():
            content = (folder / photo.name).read_bytes()
        else:
            content = self._open(folder / "img.zip", photo.name)
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))

    def _open(self, archive: Path, name: str) -> bytes:
        if archive.name not in self._zips:
            self._zips[archive.name] = zipfile.ZipFile(archive)
        names = self._zips[archive.name]
        return names.read(next(n for n in (name, f"img/{name}") if n in names.NameToInfo))


def mean_face(shapes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Procrustes mean of faces [N, 478, 2], as tall as FACE_HEIGHT and in the middle of the unit square."""
    mean = _centred(shapes[0])
    for _ in range(4):
        mean = _centred(np.mean([align(mean, shape).to_crop(shape) for shape in shapes], axis=0))
    return mean


def _centred(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = shape.min(axis=0), shape.max(axis=0)
    return (shape - (low + high) / 2) * (FACE_HEIGHT / (high[1] - low[1])) + 0.5


def mirror_partners(solid: NDArray[np.float64]) -> NDArray[np.int16]:
    """For each point of the mean face the point that is its mirror image, [478].

    Matches the mean to its mirror image by nearest points, moves the image by the affine map that fits the matches best
    (the mean of many photos looks a little to one side) and matches again until nothing changes.

    Args:
        solid: Mean face x, y, z in crop units, [478, 3]: depth tells the lips' inner and outer points apart.
    """
    solid = solid - solid[: IRISES[0]].mean(axis=0)
    flipped = solid * (-1, 1, 1)
    rows = np.concatenate([flipped, np.ones((POINTS, 1))], axis=1)
    image = flipped
    partner = np.arange(POINTS, dtype=np.int16)
    for _ in range(30):
        last, partner = partner, _match(solid, image)
        if np.array_equal(last, partner):
            break
        image = rows @ np.linalg.lstsq(rows, solid[partner], rcond=None)[0]
    return partner


def _match(solid: NDArray[np.float64], image: NDArray[np.float64]) -> NDArray[np.int16]:
    """Pair every point with one other, or with itself, nearest first; irises only with irises."""
    distance = np.linalg.norm(solid[None] - image[:, None], axis=-1)
    distance = distance + distance.T
    iris = np.arange(POINTS) >= IRISES[0]
    distance[iris[:, None] != iris[None]] = np.inf
    partner = np.full(POINTS, -1, np.int16)
    for flat in np.argsort(distance, axis=None):
        i, j = divmod(int(flat), POINTS)
        if partner[i] < 0 and partner[j] < 0:
            partner[i], partner[j] = j, i
    return partner


Cut = tuple[NDArray[np.uint8], NDArray[np.float64]]
"""A stored crop, [STORED_PX, STORED_PX, 3], and the points in its units (0 to 1), [478, 2]."""


def stored_crop(picture: NDArray[np.uint8], points_px: NDArray[np.float64], mean: NDArray[np.float64]) -> Cut:
    """Cut a face out with its surroundings, upright, so that little memory holds many."""
    place = align(mean, points_px)
    centre = place.corner + place.turn * (0.5 + 0.5j)
    half = place.side_px * STORED_SIDE / 2
    left, top = (math.floor(v - half) for v in (centre.real, centre.imag))
    side = math.ceil(half * 2)
    columns = np.arange(left, left + side).clip(0, picture.shape[1] - 1)
    rows = np.arange(top, top + side).clip(0, picture.shape[0] - 1)
    small = Image.fromarray(picture[rows[:, None], columns]).resize((STORED_PX, STORED_PX), Image.Resampling.BICUBIC)
    return np.asarray(small), (points_px - (left, top)) / side


@dataclass
class CropSet:
    """Stored crops of many faces.

    Attributes:
        crops: [N, STORED_PX, STORED_PX, 3], uint8.
        points: Labels in units of the stored crop, [N, 478, 2], float32.
        turns: Alignment of each face in units of the stored crop: complex side, [N], complex64.
        corners: Alignment of each face: top left corner, [N], complex64.
        photos: Row of the photo that each picture is a state of, [N], int64; a photo's own.
    """

    crops: Tensor
    points: Tensor
    turns: Tensor
    corners: Tensor
    photos: Tensor


def load_crops(data: Path, photos: list[Photo], mean: NDArray[np.float64], kept: Path) -> CropSet:
    """Cut all photos, a minute for four thousand, or read what an earlier run has cut.

    Args:
        data: Corpus folder.
        photos: Which photos.
        mean: Mean face in crop units, [478, 2].
        kept: File (.npz) that holds the crops between runs; made anew if it holds other photos.
    """
    names = [f"{photo.source}/{photo.name}" for photo in photos]
    if not kept.exists() or np.load(kept)["names"].tolist() != names:
        crops, points = _cut_all(data, photos, mean)
        np.savez(kept, names=np.array(names), crops=crops, points=points)
    with np.load(kept) as file:
        crops, points = file["crops"], file["points"]
    return _crop_set(crops, points, torch.arange(len(crops)), mean)


def _crop_set(
    crops: NDArray[np.uint8], points: NDArray[np.float64], photos: Tensor, mean: NDArray[np.float64]
) -> CropSet:
    places = [align(mean, p) for p in points]
    turns = torch.tensor([p.turn for p in places], dtype=torch.complex64)
    corners = torch.tensor([p.corner for p in places], dtype=torch.complex64)
    return CropSet(torch.from_numpy(crops), torch.from_numpy(points).float(), turns, corners, photos)


def _cut_all(
    data: Path, photos: list[Photo], mean: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    reader = PhotoReader(data)
    crops = np.empty((len(photos), STORED_PX, STORED_PX, 3), np.uint8)
    points = np.empty((len(photos), POINTS, 2))
    for i, photo in enumerate(tqdm(photos, desc="cut faces")):
        crops[i], points[i] = stored_crop(reader.read(photo), photo.points_px[:, :2], mean)
    return crops, points


def load_renders(pairs: Path, mean: NDArray[np.float64]) -> tuple[CropSet, CropSet]:
    """Cut the re-rendered states: those of persons to learn from, and those of persons held out.

    Args:
        pairs: What `models.training.pairs` wrote.
        mean: Mean face in crop units, [478, 2].
    """
    known, unseen = list[tuple[Cut, int]](), list[tuple[Cut, int]]()
    for shard in tqdm(sorted(pairs.glob("*.npz")), desc="cut re-rendered faces"):
        with np.load(shard) as file:
            if "points" not in file.files:
                continue  # video frames have none
            images, labels, held_out = file["images"], file["points"].astype(np.float64), file["held_out"]
        for person, state in np.ndindex(labels.shape[:2]):
            cuts = unseen if held_out[person] else known
            cuts.append((stored_crop(images[person, state], labels[person, state], mean), len(cuts) - state))

    def crop_set(cuts: list[tuple[Cut, int]]) -> CropSet:
        pictures, photos = zip(*cuts, strict=True)
        crops, points = zip(*pictures, strict=True)
        return _crop_set(np.stack(crops), np.stack(points), torch.tensor(photos), mean)

    return crop_set(known), crop_set(unseen)


def joined(one: CropSet, other: CropSet) -> CropSet:
    """The faces of both."""
    other = replace(other, photos=other.photos + len(one.photos))
    return CropSet(*(torch.cat([getattr(one, f.name), getattr(other, f.name)]) for f in fields(CropSet)))


def _uniform(rng: torch.Generator, count: int, low: float, high: float) -> Tensor:
    return torch.rand(count, generator=rng) * (high - low) + low


def look(
    faces: CropSet, rows: Tensor, mirror: Tensor, rng: torch.Generator, *, loose_share: float = 0.5, twins: bool = False
) -> tuple[Tensor, Tensor]:
    """Look at some faces as the two run-time passes do: half loosely boxed, half nearly aligned.

    Args:
        faces: The stored crops.
        rows: Which to take, [B].
        mirror: Partner of each point, [478].
        rng: Random numbers.
        loose_share: Share of crops as rough as a detector's box.
        twins: Mirror a row of the second half if its partner in the first half is.

    Returns:
        Crops [B, 3, CROP_PX, CROP_PX], 0 to 1, and labels in their units, [B, 478, 2].
    """
    count = len(rows)
    loose = torch.rand(count, generator=rng) < loose_share
    degrees = torch.where(loose, _uniform(rng, count, -30, 30), _uniform(rng, count, -6, 6))
    log_scale = torch.where(loose, _uniform(rng, count, -0.22, 0.22), _uniform(rng, count, -0.06, 0.06))
    reach = torch.where(loose, 0.12, 0.03)
    shift = torch.complex(_uniform(rng, count, -1, 1) * reach, _uniform(rng, count, -1, 1) * reach)
    turn = torch.polar(log_scale.exp(), degrees * (math.pi / 180))
    corner = 0.5 + 0.5j + shift - turn * (0.5 + 0.5j)
    corner = faces.turns[rows] * corner + faces.corners[rows]
    turn = faces.turns[rows] * turn
    steps = (torch.arange(CROP_PX) + 0.5) / CROP_PX
    pixels = torch.complex(steps.expand(CROP_PX, -1), steps[:, None].expand(-1, CROP_PX))
    grid = torch.view_as_real(pixels * turn[:, None, None] + corner[:, None, None]) * 2 - 1
    stored = faces.crops[rows].permute(0, 3, 1, 2).float() / 255
    crops = F.grid_sample(stored, grid, mode="bilinear", padding_mode="border", align_corners=False)
    labels = torch.view_as_complex(faces.points[rows].contiguous())
    labels = torch.view_as_real((labels - corner[:, None]) / turn[:, None])
    flip = torch.rand(count, generator=rng) < 0.5
    if twins:
        flip[count // 2 :] = flip[: count // 2]
    crops = torch.where(flip[:, None, None, None], crops.flip(3), crops)
    mirrored = labels[:, mirror.long()] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    return crops, torch.where(flip[:, None, None], mirrored, labels)


def spoil(crops: Tensor, rng: torch.Generator) -> Tensor:
    """Change colour, light and sharpness, hide patches: what cameras and compression do. 0 to 1 in, 0 to 1 out."""
    return _compress(_hide(expose(crops, rng), rng).clamp(0, 1), rng)


def expose(crops: Tensor, rng: torch.Generator) -> Tensor:
    """Change colour, light and sharpness. [B, 3, S, S], 0 to 1 in, about 0 to 1 out."""
    count = len(crops)

    def each(low: float, high: float, channels: int = 1) -> Tensor:
        return _uniform(rng, count * channels, low, high).view(count, channels, 1, 1)

    def some(share: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=rng) < share

    crops = _soften(crops, rng)
    crops = crops.clamp_min(1e-4) ** each(-0.35, 0.35).exp()
    crops = (crops - 0.5) * each(0.7, 1.3) + 0.5 + each(-0.12, 0.12)
    crops = crops * each(0.88, 1.12, 3)
    ramp = torch.linspace(-1, 1, crops.shape[-1])
    side_light = 1 + each(-0.35, 0.35) * ramp + each(-0.25, 0.25) * ramp[:, None]
    crops = torch.where(some(0.4), crops * side_light, crops)
    crops = torch.where(some(0.15), crops.mean(1, keepdim=True).expand_as(crops), crops)
    noise = torch.randn(crops.shape, generator=rng) * each(0, 0.05)
    return torch.where(some(0.3), crops + noise, crops)


def _soften(crops: Tensor, rng: torch.Generator) -> Tensor:
    rows = torch.randperm(len(crops), generator=rng)[: len(crops) // 4]
    px = int(torch.randint(36, 110, (1,), generator=rng))
    small = F.interpolate(crops[rows], size=(px, px), mode="bilinear", antialias=True, align_corners=False)
    crops = crops.clone()
    crops[rows] = F.interpolate(small, size=crops.shape[-2:], mode="bilinear", align_corners=False)
    return crops


def _hide(crops: Tensor, rng: torch.Generator) -> Tensor:
    side = crops.shape[-1]
    for row in torch.randperm(len(crops), generator=rng)[: len(crops) // 5].tolist():
        width, height = torch.randint(side // 12, side // 3, (2,), generator=rng).tolist()
        x = int(torch.randint(0, side - width, (1,), generator=rng))
        y = int(torch.randint(0, side - height, (1,), generator=rng))
        crops[row, :, y : y + height, x : x + width] = torch.rand(3, 1, 1, generator=rng)
    return crops


def _compress(crops: Tensor, rng: torch.Generator) -> Tensor:
    for row in torch.randperm(len(crops), generator=rng)[: len(crops) // 6].tolist():
        pixels = (crops[row].permute(1, 2, 0) * 255).byte().numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(torch.randint(25, 80, (1,), generator=rng)))
        crops[row] = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
    return crops
