"""The recipes of all published systems, by name, and the clips and sizes that each is trained with."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from models.training.clips import ClipSet
from models.training.stages import Judges, Recipe

Size = Literal["small", "published"]


def make_recipe(system: str, size: Size, data: Path, judges: Judges) -> tuple[Recipe, str]:
    """A system ready to be trained, with fresh weights, and what its clips are known by.

    Args:
        system: One of `RECIPES`.
        size: Of the networks. EquiAV's talking-face variant has one size, "small"; "equiav-plain" is
            what it is compared with.
        data: Folder of clips.
        judges: Published networks for its losses.

    Raises:
        NoClipsError: If the clips do not suit.
    """
    return RECIPES[system](size, data, judges)


def _davs(size: Size, data: Path, judges: Judges) -> tuple[Recipe, str]:
    from models.davs.config import PUBLISHED, SMALL  # imports one system's networks only when it is asked for
    from models.training.recipes.davs import WORD_FRAMES, DavsRecipe

    clips = ClipSet(data, held_out=False, frames=WORD_FRAMES)
    small = replace(SMALL, words=max(1, len(clips.vocabulary)))
    return DavsRecipe(clips, PUBLISHED if size == "published" else small, judges), clips.fingerprint()


def _pcavs(size: Size, data: Path, judges: Judges) -> tuple[Recipe, str]:
    from models.pcavs.config import PUBLISHED, SMALL
    from models.training.recipes.pcavs import PcavsRecipe
    from models.training.recipes.voices import VOICE_FRAMES

    clips = ClipSet(data, held_out=False, frames=VOICE_FRAMES)
    return PcavsRecipe(clips, _sized(size, SMALL, PUBLISHED), judges), clips.fingerprint()


def _fctfg(size: Size, data: Path, judges: Judges) -> tuple[Recipe, str]:
    from models.fctfg.config import PUBLISHED, SMALL
    from models.training.recipes.fctfg import FctfgRecipe
    from models.training.recipes.voices import VOICE_FRAMES

    clips = ClipSet(data, held_out=False, frames=VOICE_FRAMES)
    return FctfgRecipe(clips, _sized(size, SMALL, PUBLISHED), judges), clips.fingerprint()


def _tavce(size: Size, data: Path, judges: Judges) -> tuple[Recipe, str]:
    from models.tavce.config import PUBLISHED, SMALL
    from models.training.recipes.tavce import CLIP_FRAMES, TavceRecipe

    clips = ClipSet(data, held_out=False, frames=CLIP_FRAMES)
    return TavceRecipe(clips, _sized(size, SMALL, PUBLISHED), judges), clips.fingerprint()


def _equiav(size: Size, data: Path, judges: Judges, *, plain: bool = False) -> tuple[Recipe, str]:
    from models.equiav.config import SMALL
    from models.training.recipes.equiav import CLIP_FRAMES, EquiavRecipe, PlainRecipe

    clips = ClipSet(data, held_out=False, frames=CLIP_FRAMES)
    return (PlainRecipe if plain else EquiavRecipe)(clips, SMALL, judges), clips.fingerprint()


def _sized(size: Size, small: Any, published: Any) -> Any:
    return published if size == "published" else small


RECIPES: Final[dict[str, Callable[[Size, Path, Judges], tuple[Recipe, str]]]] = {
    "davs": _davs,
    "pcavs": _pcavs,
    "fctfg": _fctfg,
    "tavce": _tavce,
    "equiav": _equiav,
    "equiav-plain": partial(_equiav, plain=True),
}
