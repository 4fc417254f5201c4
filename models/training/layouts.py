"""Folders of talking-face videos as their makers lay them out: which files are videos, who speaks, and which words."""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from models.errors import ModelError
from models.training.corpus import is_held_out, person_hash

SUFFIXES: Final = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".m4v")
_SOUNDS: Final = (".m4a", ".wav", ".mp3", ".flac")


class LayoutError(ModelError, ValueError):
    """A folder does not lie as the layout that was named says."""

    def __init__(self, got: str, want: str) -> None:
        self.got = got
        self.want = want

    def __str__(self) -> str:
        return f"got {self.got}, want {self.want}: name the data set's own top folder and its --layout"


@dataclass(frozen=True)
class Word:
    """A spoken word and when it is heard, seconds from the start of its video."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Source:
    """One video of a data set.

    Attributes:
        name: Its path below the data set's folder, with slashes.
        video: The file.
        sound: The file that holds its sound; mostly the same.
        person: Hash of who speaks.
        held_out: Whether it is kept from training.
        words: What is said, where the data set tells.
    """

    name: str
    video: Path
    sound: Path
    person: str
    held_out: bool
    words: tuple[Word, ...] = ()


def find_videos(folder: Path, layout: str) -> list[Source]:
    """Every video of a data set, in a fixed order.

    Args:
        folder: The data set's top folder.
        layout: One of `LAYOUTS`.

    Raises:
        LayoutError: If there is none, or one that does not lie as the layout says.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    describe = LAYOUTS[layout](folder)
    sources = [source for path in paths if (source := describe(path, path.relative_to(folder))) is not None]
    if not sources:
        raise LayoutError(f"no video in {folder}", f"files ending in {', '.join(SUFFIXES)}")
    return sources


Describe = Callable[[Path, Path], Source | None]


def _by_person(layout: str, key: Callable[[PurePosixPath], str]) -> Callable[[Path], Describe]:
    """A layout whose paths tell who speaks."""

    def describe(path: Path, below: Path) -> Source:
        person = person_hash(f"{layout}/{key(PurePosixPath(below.as_posix()))}")
        return Source(below.as_posix(), path, path, person, is_held_out(person))

    return lambda folder: describe


def _sound_beside(folder: Path, parts: list[str], video: Path) -> Path:
    """The sound file at a path below a folder, whatever its kind, or the video if there is none."""
    files = (folder.joinpath(*parts).with_suffix(suffix) for suffix in _SOUNDS)
    return next((file for file in files if file.is_file()), video)


def _part(pattern: str, want: str) -> Callable[[PurePosixPath], str]:
    """The part of a path that looks like a person's number."""

    def key(below: PurePosixPath) -> str:
        found = next((part for part in below.parts if re.fullmatch(pattern, part)), None)
        if found is None:
            raise LayoutError(f"the video {below}", want)
        return found

    return key


def _without_number(below: PurePosixPath) -> str:
    """HDTF's clips are numbered per person: WDA_Name_000.mp4."""
    return re.sub(r"_\d+$", "", below.stem)


def _folder(below: PurePosixPath) -> str:
    """The folder that a video lies in, or the video itself where it lies in none."""
    return below.parent.as_posix() if len(below.parts) > 1 else below.stem


def _mead(folder: Path) -> Describe:
    """`M003/video/front/...`; the sound lies under `M003/audio/...`. Views from the side are passed over."""
    person_of = _part(r"[MW]\d{3}", "a path like M003/video/front/happy/level_1/001.mp4")

    def describe(path: Path, below: Path) -> Source | None:
        who = person_of(PurePosixPath(below.as_posix()))
        parts = list(below.parts)
        if "video" not in parts or "front" not in parts:
            return None
        parts.remove("front")
        parts[parts.index("video")] = "audio"
        sound = _sound_beside(folder, parts, path)
        person = person_hash(f"mead/{who}")
        return Source(below.as_posix(), path, sound, person, is_held_out(person))

    return describe


def _voxceleb(folder: Path) -> Describe:
    """`mp4/id00012/21Uxsk56VDQ/00001.mp4`; the sound from `aac/...` where that is there too, else the video's own."""
    person_of = _part(r"id\d+", "a path like mp4/id00012/21Uxsk56VDQ/00001.mp4")

    def describe(path: Path, below: Path) -> Source:
        person = person_hash(f"voxceleb2/{person_of(PurePosixPath(below.as_posix()))}")
        sound = _sound_beside(folder, ["aac" if part == "mp4" else part for part in below.parts], path)
        return Source(below.as_posix(), path, sound, person, is_held_out(person))

    return describe


def _lrw(folder: Path) -> Describe:
    """`WORD/train/WORD_00001.mp4`, the word in the middle of 29 frames.

    Nobody knows who speaks: a clip counts as a person of its own, and LRW's own val and test parts are held out.
    """

    def describe(path: Path, below: Path) -> Source:
        if len(below.parts) < 3 or below.parts[-2] not in ("train", "val", "test"):
            raise LayoutError(f"the video {below.as_posix()}", "a path like WORD/train/WORD_00001.mp4")
        *_, word, part, file = below.parts
        said = (Word(word.lower(), 0.0, 29 / 25),)
        return Source(below.as_posix(), path, path, person_hash(f"lrw/{file}"), part != "train", said)

    return describe


def _grid(folder: Path) -> Describe:
    """`video/clip.mp4` of one speaker and `align.csv`. Held out by clip, there being one person."""
    with (folder / "align.csv").open() as file:
        words: dict[str, list[Word]] = {}
        for row in csv.DictReader(file):
            if row["word"] not in ("sil", "sp"):
                words.setdefault(row["clip"], []).append(Word(row["word"], float(row["start_s"]), float(row["end_s"])))

    def describe(path: Path, below: Path) -> Source:
        held_out = is_held_out(person_hash(f"grid/{path.stem}"))
        said = tuple(words.get(path.stem, ()))
        return Source(below.as_posix(), path, path, person_hash(f"grid/{folder.name}"), held_out, said)

    return describe


LAYOUTS: Final[dict[str, Callable[[Path], Describe]]] = {
    "plain": _by_person("plain", _folder),
    "voxceleb2": _voxceleb,
    "lrw": _lrw,
    "lrs2": _by_person("lrs2", _folder),
    "lrs3": _by_person("lrs3", _folder),
    "hdtf": _by_person("hdtf", _without_number),
    "mead": _mead,
    "grid": _grid,
}
"""How each data set lies; `plain` is a folder for each person."""
