"""DAVS's training: words, persons, faces, then all against the critics (systems.md, 1.5)."""

from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.perceptual import PerceptualLoss
from models.davs.config import DavsConfig
from models.davs.critics import CLIP_FRAMES, PERSON_FRAMES, SEQUENCE_FRAMES, DavsCritics
from models.davs.networks import DavsNetworks
from models.davs.objective import (
    DavsBatch,
    DavsOutputs,
    critic_losses,
    face_losses,
    generator_losses,
    modality_loss,
    run,
    speech_losses,
    word_codes,
)
from models.system import FPS
from models.training.clips import ClipSet, NoClipsError, draw_rows
from models.training.stages import Adam, Judges, Stage, Turn, late_fall
from models.training.watched import Watched, whole

WORD_FRAMES: Final = 25
"""Frames about the middle of a word."""
_MORE: Final = 4
"""Clips in a batch of faces, for one of words."""
_SOFTEST: Final = 0.1
"""How soft critics' labels are at most."""
_ADAM: Final = Adam(2e-4)
_FACES_ADAM: Final = Adam(6e-4)
_GENTLE_ADAM: Final = Adam(1e-4)
"""Half the published rate: the networks come trained from the faces."""
_MODALITY: Final = Adam(2e-3)
"""Ten times the published rate, and its labels soft. In small batches the encoders, who want it wrong, are else the
faster of the two: its loss went past 0.69, where it guesses, to 9, and codes swung to and fro between the labels. With
the rate alone it grows so sure that its adversary, 110 against the words' 10, is all that the encoders hear."""

_ADVERSARY: Final = 0.05
"""A hundredth of the published weight: in small batches the lips' encoder, which ends in one rectified map, else falls
silent for good within two hundred steps, for a code that never changes gives the critic least to go by."""


@dataclass(frozen=True)
class Spoken:
    """A word in a clip: which clip, the first of its 25 frames, and its number in the vocabulary."""

    row: int
    first: int
    word: int


@dataclass(frozen=True)
class PersonBatch:
    """Faces [B, 3, S, S], 0 to 1, and whose they are [B], int64."""

    photos: Tensor
    persons: Tensor


@dataclass(frozen=True)
class FaceBatch:
    """A photo and a few frames of each of many clips.

    Attributes:
        photo: [B, 3, S, S], 0 to 1.
        frames: From the half second before the photo to that after it, [B, 2, 3, S, S].
        windows: Their sound, [B, 2, 20, 12].
    """

    photo: Tensor
    frames: Tensor
    windows: Tensor


class DavsRecipe:
    """How DAVS is trained. Its own person stage was on 40,145 faces and is not released; ours is on the clips.

    Faces are a stage of ours: a step of the published last stage draws 48 pictures of four persons, a step of this one
    32 of sixteen, and it takes many persons to learn what faces look like.
    """

    system = "davs"
    shown = "generation"

    def __init__(self, clips: ClipSet, config: DavsConfig, judges: Judges) -> None:
        """Make the networks.

        Raises:
            NoClipsError: If no clip tells its words, or they tell more words than the config knows.
        """
        self.config, self.networks = config, DavsNetworks(config)
        self.networks.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - the stub lacks it
        self._spoken = spoken_words(clips)
        if not self._spoken or len(clips.vocabulary) > config.words:
            want = f"words (1 to {config.words} different ones, at least 12 frames from both ends of a clip)"
            raise NoClipsError(clips.clips[0].path.parent.parent, want)
        self._watched = Watched(clips, "davs", config.image_px, "mfcc12")
        self._critics = DavsCritics(config)
        self._likeness = PerceptualLoss(judges.perceptual(), (1.0,) * 5, normalise=True)
        self._person_head = nn.Linear(config.code, len(clips.persons))
        self._codes: tuple[Tensor, Tensor] | None = None
        self._made: DavsOutputs | None = None
        self.trained: nn.Module = nn.ModuleList([self.networks, self._critics, self._person_head, self._likeness])
        net, critics = self.networks, self._critics
        hearing = (net.audio, net.lips, critics.words)
        judging = (critics.person_words, critics.sequence)
        self.stages = (
            Stage(
                "words",
                0.06,
                (
                    Turn("encoders", hearing, self._speech, _ADAM),
                    Turn("modality", (critics.modality,), self._modality, _MODALITY),
                ),
            ),
            Stage("persons", 0.03, (Turn("persons", (net.identity, self._person_head), self._persons, _ADAM),)),
            Stage("faces", 0.66, (Turn("faces", (net,), self._faces, _FACES_ADAM, late_fall),)),
            Stage(
                "generation",
                0.25,
                (
                    Turn("generator", (net, critics.words), self._draw, _GENTLE_ADAM, late_fall),
                    Turn("critics", judging, self._judge, _ADAM, late_fall),
                    Turn("modality", (critics.modality,), self._modality, _MODALITY),
                ),
                holds_statistics=True,
            ),
        )

    def batch(self, stage: str, count: int, random: torch.Generator) -> Any:
        """See `Recipe.batch`."""
        if stage == "persons":
            rows = draw_rows(len(self._watched.clips), count, random)
            faces = [self._watched.faces(row, [self._watched.frame(row, random)])[0] for row in rows]
            persons = [self._watched.person(row) for row in rows]
            return PersonBatch((torch.stack(faces) + 1) / 2, torch.tensor(persons))
        if stage == "faces":
            rows = draw_rows(len(self._watched.clips), _MORE * count, random)
            return FaceBatch(
                *(torch.stack(part) for part in zip(*(self._near(row, random) for row in rows), strict=True))
            )
        said = [self._spoken[i] for i in draw_rows(len(self._spoken), count, random)]
        parts = [self._word(one, random) for one in said]
        photo, frames, windows, neighbours = (torch.stack(part) for part in zip(*parts, strict=True))
        words = torch.tensor([one.word for one in said])
        first = whole(0, CLIP_FRAMES - SEQUENCE_FRAMES + 1, random)
        return DavsBatch(photo, frames, windows, neighbours, words, first)

    def sheet(self, networks: nn.Module, batch: DavsBatch) -> Tensor:
        """Photo, truth, and the first frame drawn from the sound and from the lips."""
        assert isinstance(networks, DavsNetworks)
        made = run(networks, batch)
        truth = batch.frames[:, batch.first]
        return 2 * torch.stack([batch.photo, truth, made.by_sound[:, 0], made.by_lips[:, 0]], 1) - 1

    def _word(self, one: Spoken, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Photo, twelve frames and their sound, twenty frames in a row."""
        seen, first = self._watched, one.first + whole(0, 2, random)
        every_second = range(first, first + 2 * CLIP_FRAMES, 2)
        faces = (seen.faces(one.row, range(one.first, one.first + WORD_FRAMES)) + 1) / 2
        at = first - one.first
        photo = faces[whole(0, WORD_FRAMES, random)]
        windows = seen.windows(one.row, every_second)
        return photo, faces[at : at + 2 * CLIP_FRAMES : 2], windows, faces[at : at + PERSON_FRAMES]

    def _near(self, row: int, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """A photo, two frames near it and their sound."""
        seen, photo = self._watched, self._watched.frame(row, random)
        first, end = max(0, photo - WORD_FRAMES // 2), min(seen.clips.clips[row].frames, photo + WORD_FRAMES // 2 + 1)
        frames = [whole(first, end, random) for _ in range(2)]
        faces = (seen.faces(row, [photo, *frames]) + 1) / 2
        return faces[0], faces[1:], seen.windows(row, frames)

    def _faces(self, batch: FaceBatch, step: int) -> dict[str, Tensor]:
        return face_losses(self.networks, batch.photo, batch.frames, batch.windows, self._likeness)

    def _speech(self, batch: DavsBatch, step: int) -> dict[str, Tensor]:
        sound, lips = word_codes(self.networks, batch)
        self._codes = sound.detach(), lips.detach()
        return speech_losses(self._critics, sound, lips, batch.words, _ADVERSARY)

    def _modality(self, batch: DavsBatch, step: int) -> dict[str, Tensor]:
        assert self._codes is not None, "the encoders' turn comes first"
        return modality_loss(self._critics, *self._codes, _SOFTEST)

    def _persons(self, batch: PersonBatch, step: int) -> dict[str, Tensor]:
        return {"persons": F.cross_entropy(self._person_head(self.networks.identity(batch.photos).code), batch.persons)}

    def _judge(self, batch: DavsBatch, step: int) -> dict[str, Tensor]:
        assert self._made is not None, "the generator's turn comes first"
        return critic_losses(self._critics, self._made, batch, _SOFTEST * float(torch.rand(())))

    def _draw(self, batch: DavsBatch, step: int) -> dict[str, Tensor]:
        made = run(self.networks, batch)
        self._made = made.detached()
        self._codes = self._made.sound, self._made.lips
        return generator_losses(self._critics, made, batch, self._likeness, _ADVERSARY)


def spoken_words(clips: ClipSet) -> list[Spoken]:
    """Every word of a set that has 25 frames about its middle; LRW's words have theirs in frames 2 to 26."""
    numbers = {word: number for number, word in enumerate(clips.vocabulary)}
    found = list[Spoken]()
    for row, clip in enumerate(clips.clips):
        for word in clip.words:
            first = int((word.start_s + word.end_s) / 2 * FPS) - WORD_FRAMES // 2
            if 0 <= first <= clip.frames - WORD_FRAMES:
                found.append(Spoken(row, first, numbers[word.text]))
    return found
