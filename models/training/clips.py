"""Talking-face clips as every published system trains on them: a steady square of pictures, mesh points, sound, words.

A clip is one `.npz` file below a folder of its person's hash, and holds no name. Each system cuts its own crop out of
the square when it reads (`models.training.crops`), so that one corpus serves them all.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import ModelError
from models.system import FPS, SAMPLE_RATE_HZ
from models.training.layouts import Word

FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // FPS
_PER_PX: Final = 64.0
_JPEG_QUALITY: Final = 95


class NoClipsError(ModelError, LookupError):
    """A folder holds no clips to train on."""

    def __init__(self, folder: Path, want: str) -> None:
        self.folder = folder
        self.want = want

    def __str__(self) -> str:
        return f"got {self.folder} without {self.want}: make clips there by `visavis corpus videos`"


@dataclass(frozen=True)
class Clip:
    """Some seconds of one person talking, at 25 frames a second.

    Attributes:
        jpegs: Each picture, a square of one size, encoded.
        points_px: The 478 mesh points in the pictures, [T, 478, 2], float32.
        coefficients: What the rig says of the face, [T, 70], float32: see `models.tavce.rig_reader`.
        sound: Mono at 16 kHz, [640 T], float32, -1 to 1; the sound of frame t begins at sample 640 t.
        person: Hash of who it is.
        held_out: Whether it is kept from training.
        words: What is said, seconds from the clip's start.
    """

    jpegs: tuple[bytes, ...]
    points_px: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    sound: NDArray[np.float32]
    person: str
    held_out: bool
    words: tuple[Word, ...]

    def __len__(self) -> int:
        return len(self.jpegs)

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """One picture, RGB, [S, S, 3]."""
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(self.jpegs[frame])).convert("RGB"))

    def save(self, path: Path) -> None:
        """Write the clip, whole or not at all."""
        said = [(word.start_s, word.end_s) for word in self.words]
        arrays: dict[str, NDArray[np.generic]] = {
            "jpegs": np.frombuffer(b"".join(self.jpegs), np.uint8),
            "ends": np.cumsum([len(jpeg) for jpeg in self.jpegs]),
            "points": np.round(self.points_px * _PER_PX).astype(np.int16),
            "coefficients": self.coefficients,
            "sound": np.round(self.sound * 32767).clip(-32768, 32767).astype(np.int16),
            "person": np.array(self.person),
            "held_out": np.array(self.held_out),
            "words": np.array([word.text for word in self.words], np.str_),
            "times": np.array(said, np.float32).reshape(-1, 2),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Clip":
        """What `save` wrote."""
        with np.load(path) as file:
            whole, ends = file["jpegs"].tobytes(), file["ends"].tolist()
            words = zip(file["words"].tolist(), file["times"].tolist(), strict=True)
            return cls(
                jpegs=tuple(whole[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)),
                points_px=file["points"].astype(np.float32) / _PER_PX,
                coefficients=file["coefficients"],
                sound=file["sound"].astype(np.float32) / 32767,
                person=str(file["person"]),
                held_out=bool(file["held_out"]),
                words=tuple(Word(text, start_s, end_s) for text, (start_s, end_s) in words),
            )


def encoded(picture: NDArray[np.uint8]) -> bytes:
    """A picture [S, S, 3] as a fine JPEG, colours at full resolution."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return out.getvalue()


@dataclass(frozen=True)
class Index:
    """A clip of a folder, without its pictures."""

    path: Path
    person: str
    held_out: bool
    frames: int
    words: tuple[Word, ...]


class ClipSet:
    """All clips of a folder that are for training, or all that are held out; the last ones read stay in memory.

    Attributes:
        clips: What is there, in a fixed order.
        persons: Hashes of all persons, sorted: the number of a person is the place here.
        vocabulary: All words, sorted.
    """

    def __init__(self, folder: Path, *, held_out: bool, frames: int, kept: int = 512) -> None:
        """Look through a folder.

        Args:
            folder: Where `visavis corpus videos` wrote.
            held_out: Which of the two parts.
            frames: How long a clip must be.
            kept: How many clips are kept in memory, about 2 MB each.

        Raises:
            NoClipsError: If there is none.
        """
        every = [_index(path) for path in sorted(folder.glob("*/*.npz"))]
        self.clips = [one for one in every if one.held_out == held_out and one.frames >= frames]
        if not self.clips:
            part = "held-out clips" if held_out else "training clips"
            raise NoClipsError(folder, f"{part} of {frames} frames or more")
        self.persons = sorted({one.person for one in every})
        self.vocabulary = sorted({word.text for one in every for word in one.words})
        self._kept, self._memory = kept, dict[int, Clip]()

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> Clip:
        clip = self._memory.pop(number, None) or Clip.read(self.clips[number].path)
        self._memory[number] = clip
        if len(self._memory) > self._kept:
            del self._memory[next(iter(self._memory))]
        return clip

    def fingerprint(self) -> str:
        """A hash of which clips these are, for a run that must go on with the same ones."""
        names = "\n".join(f"{one.path.parent.name}/{one.path.name}" for one in self.clips)
        return hashlib.sha256(names.encode()).hexdigest()[:12]


def _index(path: Path) -> Index:
    with np.load(path) as file:  # reads the arrays asked for alone
        words = zip(file["words"].tolist(), file["times"].tolist(), strict=True)
        said = tuple(Word(text, start_s, end_s) for text, (start_s, end_s) in words)
        return Index(path, str(file["person"]), bool(file["held_out"]), len(file["ends"]), said)


def draw_rows(count: int, batch: int, random: torch.Generator) -> list[int]:
    """Numbers of `batch` clips of `count`: each at most once as long as there are enough."""
    rows: list[int] = []
    while len(rows) < batch:
        rows += torch.randperm(count, generator=random).tolist()
    return rows[:batch]
