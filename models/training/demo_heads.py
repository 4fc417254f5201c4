"""Make the demo identities: portraits of nobody, each blended out of more than twenty.

    python -m models.training.demo_heads --data DIR --out DIR

Needs the corpus and the extra `[train]`; takes about a minute a portrait on one core.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from models.training.demo_blend import blend, blur, even_tone, face_mask, identity_grid, register
from models.training.demo_donors import RECIPES, Donor, Recipe, load_donor
from models.training.demo_ground import clean_ground
from models.training.demo_shape import SIZE_PX, Points, new_face, warp_field

_QUALITY: Final = 93
_FEATHER_PX: Final = 12
_SMILE_COUNTS: Final = 0.5  # of a donor with open lips, inside the face


def make(recipe: Recipe, data: Path, told: Callable[[], object] = lambda: None) -> Tensor:
    """Blend one identity.

    Args:
        recipe: Who goes in.
        data: The corpus folder.
        told: Called after each donor and after each of the two last steps: `steps(recipe)` times.

    Returns:
        Portrait [3, S, S], float, sRGB 0 to 1.
    """
    donors = [load_donor(data, tag, closed=tag in recipe.lips) for tag in recipe.lips + recipe.rest]
    shape = new_face([d.points for d in donors if d.closed], seed=recipe.seed, shape_sd=recipe.shape_sd)
    fields: list[Tensor] = []
    for donor in donors:
        fields.append(warp_field(shape, donor.points))
        told()
    photos, cover = _warped(donors, fields, shape)
    inside = face_mask(shape, grow=1.0, soft_px=14.0)
    shifts = register(even_tone(photos, shape), cover, 1 - 0.75 * inside)
    told()
    grid = identity_grid(SIZE_PX) + shifts
    moved = torch.stack(fields).permute(0, 3, 1, 2)
    moved = functional.grid_sample(moved, grid, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)
    photos, cover = _warped(donors, list(moved), shape)
    closed = torch.tensor([donor.closed for donor in donors])
    cover = cover * (1 - (1 - _SMILE_COUNTS) * inside * (~closed).float()[:, None, None, None])
    picture = blend(even_tone(photos, shape), cover, closed, shape, seed=recipe.seed)
    told()
    return clean_ground(picture, shape)


def steps(recipe: Recipe) -> int:
    """How often `make` tells of progress."""
    return len(recipe.lips) + len(recipe.rest) + 2


def main(argv: Sequence[str] | None = None) -> int:
    """Write all portraits into a folder; 0 when done, 1 when the corpus is not there."""
    parser = argparse.ArgumentParser(prog="python -m models.training.demo_heads", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the corpus folder")
    parser.add_argument("--out", type=Path, required=True, help="where the portraits go")
    parser.add_argument("--only", choices=[recipe.name for recipe in RECIPES], help="make this one alone")
    args = parser.parse_args(argv)
    if not (args.data / "landmarks").is_dir():
        print(f"demo_heads: {args.data} holds no landmarks/: give the corpus folder with --data", file=sys.stderr)
        return 1
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for recipe in RECIPES:
        if args.only in (None, recipe.name):
            with tqdm(total=steps(recipe), desc=recipe.name) as bar:
                portrait = make(recipe, args.data, bar.update)
            pixels = (portrait * 255.0 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(args.out / f"{recipe.name}.jpg", quality=_QUALITY)
    return 0


def _warped(donors: list[Donor], fields: list[Tensor], shape: Points) -> tuple[Tensor, Tensor]:
    """The photos through their maps, [N, 3, S, S], and where they count, [N, 1, S, S].

    A photo without the studio's ground counts inside the face alone.
    """
    photos: list[Tensor] = []
    covers: list[Tensor] = []
    face = face_mask(shape, grow=0.93, soft_px=8.0)
    for donor, field in zip(donors, fields, strict=True):
        size = torch.tensor([donor.pixels.shape[2], donor.pixels.shape[1]])
        grid = (field + 0.5) / size * 2 - 1
        seen = functional.grid_sample(
            donor.pixels[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False
        )
        known = (grid.abs() < 0.995).all(-1).float()[None, None]
        known = -functional.max_pool2d(-known, 2 * _FEATHER_PX + 1, 1, _FEATHER_PX)
        cover = blur(known, 8.0)
        photos.append(seen[0].clamp(0, 1))
        covers.append((cover if donor.plain else cover * face)[0])
    return torch.stack(photos), torch.stack(covers).clamp_min(1e-4)


if __name__ == "__main__":
    sys.exit(main())
