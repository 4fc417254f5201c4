"""Portraits of the corpus that the house model makes speak: clips of many persons where there are no videos of them.

Pictures are the house model's own, so a system that learns from them learns its motion, no more. What is said is timed,
so that clips have words: a word is a vowel with the consonant before it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.errors import PhotoError
from models.system import FPS, SAMPLE_RATE_HZ, System
from models.training.clips import FRAME_SAMPLES
from models.training.corpus import Corpus, Portrait, choose
from models.training.face_track import RejectedError
from models.training.layouts import Source, Word
from models.training.phones import PAUSE, Phone
from models.training.prepare_clips import Piece, ReadVideo
from models.training.speech_clips import Clip, read_clips
from stream.compose import to_pixels
from stream.drive import Drive
from stream.targets import ControlUpdate

LOOKAHEAD_MS: Final = 80
SWING_DEG: Final = {"headYaw": 11.0, "headPitch": 7.0, "headRoll": 6.0}
"""Furthest that a head turns while it speaks."""
_SWING_HZ: Final = (0.11, 0.29, 0.53)
_VOWELS: Final = frozenset(("aa", "ae", "ah", "ao", "aw", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw"))


@dataclass(frozen=True)
class Speaker:
    """A portrait and what it is to say.

    Attributes:
        photo: Reads it, RGB, [H, W, 3].
        person: Hash of who it is.
        held_out: Whether that person is kept from training.
        said: A sentence.
    """

    photo: Callable[[], NDArray[np.uint8]]
    person: str
    held_out: bool
    said: Clip


def find_speakers(data: Path, speech: Sequence[Path], first: int, count: int | None) -> dict[str, Speaker]:
    """Portraits and sentences by the name of their clip, one for each person, as `choose` mixes them.

    Persons who are held out say sentences of `eval-*.npz`, the others those of `train-*.npz`.

    Args:
        data: The corpus.
        speech: Files of `models.training.speech_corpus`.
        first: How many persons to pass over.
        count: How many to take; None for all.

    Raises:
        FileNotFoundError: If there are no sentences of one of the two kinds.
    """
    corpus = Corpus(data)
    portraits = choose(corpus.portraits, len(corpus.portraits))
    said = {held_out: sentences(speech, "eval" if held_out else "train") for held_out in (False, True)}

    def speaker(one: Portrait) -> Speaker:
        return Speaker(partial(corpus.photo, one), one.person, one.held_out, next(said[one.held_out]))

    pairs = ((one.person, speaker(one)) for one in portraits)
    return dict(islice(pairs, first, None if count is None else first + count))


def sentences(speech: Sequence[Path], part: str) -> Iterator[Clip]:
    """Sentences without end, of files whose names begin with `part`, the voices taking turns.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    voices = [read_clips(path) for path in speech if path.name.startswith(part)]
    if not voices:
        raise FileNotFoundError(f"no {part}-*.npz of the speech corpus among the files that were named")
    turn = 0
    while True:
        voice = voices[turn % len(voices)]
        yield voice[turn // len(voices) % len(voice)]
        turn += 1


def sources(speakers: dict[str, Speaker]) -> list[Source]:
    """The speakers as videos that are yet to be drawn."""
    return [
        Source(name, Path(name), Path(name), one.person, one.held_out, words_of(one.said.phones))
        for name, one in speakers.items()
    ]


def reader(system: System, speakers: dict[str, Speaker], longest_s: float) -> ReadVideo:
    """What draws a source of `sources`, its first seconds alone; raises `RejectedError` where no face is found."""

    def read(source: Source, piece_frames: int) -> Iterator[Piece]:
        speaker = speakers[source.name]
        try:
            identity = system.enroll(speaker.photo(), "head")
        except PhotoError as error:
            raise RejectedError("no face") from error
        sound = speaker.said.sound.astype(np.float32) / 32768.0
        frames = min(piece_frames, int(longest_s * FPS), len(sound) // FRAME_SAMPLES)
        sound = sound[: frames * FRAME_SAMPLES]
        seed = int(speaker.person, 16) & 0xFFFF
        drive = Drive(system, identity, lookahead_ms=LOOKAHEAD_MS, seed=seed)
        yield Piece(np.stack(list(_drawn(drive, sound, seed))), sound, 0, retimed=False)

    return read


def _drawn(drive: Drive, sound: NDArray[np.float32], seed: int) -> Iterator[NDArray[np.uint8]]:
    """RGB pictures [S, S, 3] of every frame of a sound."""
    swing = Swing(seed)
    ahead = np.zeros(SAMPLE_RATE_HZ * LOOKAHEAD_MS // 1000, np.float32)
    heard = np.concatenate([sound, ahead])
    for start in range(0, len(heard), FRAME_SAMPLES):
        drive.targets.update(ControlUpdate(swing.at(start / SAMPLE_RATE_HZ)))
        for due in drive.push(heard[start : start + FRAME_SAMPLES]):
            if due.frame * FRAME_SAMPLES < len(sound):
                yield to_pixels(drive.draw(due))


class Swing:
    """A head that turns slowly while it speaks, by a seed."""

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng([seed, 2])
        self._phases = draw.uniform(0.0, 2 * np.pi, (len(SWING_DEG), len(_SWING_HZ)))
        self._reach = draw.uniform(0.2, 1.0, len(SWING_DEG))

    def at(self, time_s: float) -> dict[str, float]:
        """Angles of the head, degrees."""
        waves = [
            sum(math.sin(2 * math.pi * hz * time_s + phase) for hz, phase in zip(_SWING_HZ, phases, strict=True))
            for phases in self._phases
        ]
        return {
            name: far * reach * wave / len(_SWING_HZ)
            for (name, far), reach, wave in zip(SWING_DEG.items(), self._reach.tolist(), waves, strict=True)
        }


def words_of(phones: Sequence[Phone]) -> tuple[Word, ...]:
    """Every vowel with the consonant right before it, if there is one."""
    out: list[Word] = []
    for before, phone in pairwise((Phone(PAUSE, 0.0, 0.0), *phones)):
        if phone.name in _VOWELS:
            joined = before.name != PAUSE and before.name not in _VOWELS
            start_s = before.start_s if joined else phone.start_s
            out.append(Word((before.name if joined else "") + phone.name, start_s, phone.end_s))
    return tuple(out)
