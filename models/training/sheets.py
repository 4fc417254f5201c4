"""Contact sheets: pictures that show a part of the corpus to a person who wants to judge it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tqdm import tqdm

from models.errors import EmptySheetError
from models.training.corpus import Corpus, Portrait, fitted, one_each
from models.training.fits import fate_of
from models.training.pairs import Person, read
from models.training.truth import Truth
from models.visavis.fit import crop, crop_box, shape_in_frame, to_frame
from models.visavis.ict import Part, Rig, Shape, person, pose

TILE_PX: Final = 320
ACROSS: Final = 3
"""Portraits side by side on a sheet, each as a photo and a photo with its mesh."""

_MESH_RGBA: Final = (90, 255, 120, 90)
_GIVEN_RGBA: Final = (255, 60, 60, 255)
_OPEN_RGBA: Final = (80, 180, 255, 255)

Pixels = NDArray[np.uint8]


def portraits(data: Path, first: int, count: int, only: str | None) -> Pixels:
    """Fitted portraits, each beside itself with its mesh, the points it was fitted to, and its fate.

    Args:
        data: Corpus folder.
        first: How many portraits to pass over.
        count: How many to show.
        only: Show those with this fate alone, say "turned"; None shows all.
    """
    rig, corpus = Rig.load(), Corpus(data)
    chosen = {(p.folder, p.file) for p in one_each(corpus.portraits)}

    def judged() -> Iterator[tuple[Portrait, Shape, str]]:
        for portrait, shape, verdict in fitted(rig, corpus.portraits):
            fate = fate_of(portrait, verdict, chosen=(portrait.folder, portrait.file) in chosen)
            if only in (None, fate):
                yield portrait, shape, fate

    tiles = [
        _tile(rig, corpus.photo(portrait), portrait, shape, f"{first + i}: {fate}, {shape.residual_cm * 10:.1f} mm")
        for i, (portrait, shape, fate) in enumerate(
            tqdm(islice(judged(), first, first + count), total=count, unit="portrait")
        )
    ]
    blank = np.zeros((TILE_PX, 2 * TILE_PX, 3), np.uint8)
    tiles += [blank] * (-len(tiles) % ACROSS)
    return stacked([tiles[i : i + ACROSS] for i in range(0, len(tiles), ACROSS)])


def _tile(rig: Rig, photo: Pixels, portrait: Portrait, shape: Shape, caption: str) -> Pixels:
    box = crop_box(shape)
    framed = shape_in_frame(shape, box, TILE_PX)
    plain = crop(photo, box, TILE_PX)
    own = torch.nn.functional.pad(shape.expression - shape.rest, (0, 5))[None]
    place = pose(rig, framed, own, person(rig, framed))[0]
    given = to_frame(portrait.points68_px, box, TILE_PX)
    return np.concatenate([plain, with_mesh(plain, rig, place.numpy(), given.numpy(), caption)], axis=1)


def with_mesh(
    picture: Pixels, rig: Rig, place: NDArray[np.float32], given: NDArray[np.float32], caption: str
) -> Pixels:
    """A picture [H, W, 3] with the rig drawn over it.

    Args:
        picture: RGB.
        rig: The whole rig.
        place: Its vertices in px, [V, 3].
        given: Points to mark in red, [N, 2], px.
        caption: A line for the lower edge.
    """
    base = Image.fromarray(picture).convert("RGBA")
    layer = Image.new("RGBA", base.size)
    draw = ImageDraw.Draw(layer)
    facets = rig.triangles[(rig.part[rig.triangles] == Part.FACE).all(1)].numpy()
    a, b, c = (place[facets[:, corner], :2] for corner in range(3))
    front = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) < 0  # y is down
    edges = np.sort(np.concatenate([facets[front][:, pair] for pair in ([0, 1], [1, 2], [2, 0])]), axis=1)
    for i, j in np.unique(edges, axis=0).tolist():
        draw.line((*place[i, :2].tolist(), *place[j, :2].tolist()), fill=_MESH_RGBA)
    for ring in (rig.inner_lip, rig.eye_left, rig.eye_right, rig.iris_left, rig.iris_right):
        closed = [*ring.tolist(), int(ring[0])]
        draw.line([(float(x), float(y)) for x, y in place[closed, :2]], fill=_OPEN_RGBA)
    for x, y in given.tolist():
        draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=_GIVEN_RGBA)
    draw.rectangle((0, picture.shape[0] - 14, picture.shape[1], picture.shape[0]), fill=(0, 0, 0, 150))
    draw.text((3, picture.shape[0] - 13), caption, fill=(255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(base, layer).convert("RGB"))


def people(some: Iterable[Person], count: int) -> Pixels:
    """A row for each of `count` persons: the photo, then its states; below it `warped` ones if the truth is known."""
    rows: list[list[Pixels]] = []
    for item in tqdm(some, total=count, unit="person"):
        rows.append(list(item.images))
        if item.truth is not None:
            rows.append(warped(item.images[0], item.truth))
    return stacked(rows)


def warped(photo: Pixels, truth: Truth) -> list[Pixels]:
    """The photo moved by the flow into every state, what it does not show in magenta, half dark beside the matte."""
    side = len(photo)
    at = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1) + truth.flow.astype(np.float32)
    x, y = np.moveaxis(np.clip(np.rint(at).astype(int), 0, side - 1), -1, 0)
    moved = photo[y, x]
    moved[truth.visible == 0] = (255, 0, 255)
    moved[truth.matte == 0] //= 2
    return list(moved)


def shards(folder: Path) -> Iterator[Person]:
    """Everybody in the files of a folder that `models.training.pairs` or its like has written."""
    for path in sorted(folder.glob("*.npz")):
        yield from read(path)


def stacked(rows: Sequence[Sequence[Pixels]]) -> Pixels:
    """Rows of pictures as one picture; shorter rows end in black.

    Raises:
        EmptySheetError: If there are no rows.
    """
    if not rows:
        raise EmptySheetError
    height = max(picture.shape[0] for row in rows for picture in row)
    width = max(sum(picture.shape[1] for picture in row) for row in rows)
    out = np.zeros((height * len(rows), width, 3), np.uint8)
    for number, row in enumerate(rows):
        strip = np.concatenate(list(row), axis=1)
        out[number * height : number * height + strip.shape[0], : strip.shape[1]] = strip
    return out
