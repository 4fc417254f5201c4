"""DAVS's two training steps: what its critics and what its generator minimise on one batch of word clips."""

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from models.blocks.perceptual import PerceptualLoss
from models.davs import losses
from models.davs.critics import SEQUENCE_FRAMES, DavsCritics
from models.davs.identity import Person
from models.davs.networks import DavsNetworks

ADVERSARY: Final = 5.0
"""The published weight of making the modality critic wrong."""


@dataclass(frozen=True)
class DavsBatch:
    """Clips of one spoken word each.

    Attributes:
        photo: One frame of each clip, at random, [B, 3, S, S], 0 to 1.
        frames: 12 frames of each clip, every second one, [B, 12, 3, S, S].
        windows: The sound of each, [B, 12, 20, 12].
        neighbours: 20 frames in a row, in which the person critic looks for the word, [B, 20, 3, S, S].
        words: Which word it is, [B], int64.
        first: Which of the 12 frames is the first of the 6 that are generated, 0 to 6.
    """

    photo: Tensor
    frames: Tensor
    windows: Tensor
    neighbours: Tensor
    words: Tensor
    first: int

    @property
    def generated(self) -> slice:
        """Where among the 12 frames the generated ones lie."""
        return slice(self.first, self.first + SEQUENCE_FRAMES)


@dataclass(frozen=True)
class DavsOutputs:
    """What the networks made of a batch.

    Attributes:
        sound, lips: Word codes, [B, 12, code].
        early: The person's early maps of `neighbours`, [B, 20, C, S / 4, S / 4].
        by_sound, by_lips: Frames drawn from the photo and those codes, [B, 6, 3, S, S], 0 to 1.
    """

    sound: Tensor
    lips: Tensor
    early: Tensor
    by_sound: Tensor
    by_lips: Tensor

    def detached(self) -> "DavsOutputs":
        """The same without the way back to the networks."""
        return DavsOutputs(*(part.detach() for part in vars(self).values()))


def word_codes(networks: DavsNetworks, batch: DavsBatch) -> tuple[Tensor, Tensor]:
    """What the sound and the lips of a batch say, each [B, 12, code]."""
    sound = networks.audio(batch.windows.flatten(0, 1)[:, None]).view(len(batch.words), -1, networks.config.code)
    return sound, networks.lips(batch.frames.flatten(0, 1)).view_as(sound)


def face_losses(
    networks: DavsNetworks, photo: Tensor, frames: Tensor, windows: Tensor, likeness: PerceptualLoss
) -> dict[str, Tensor]:
    """What the networks minimise on single frames, without critics: a stage of ours.

    The first half of the persons say what their lips say, the others what their sound says.

    Args:
        photo: One picture of each person, [B, 3, S, S], 0 to 1.
        frames: Others of them, [B, T, 3, S, S].
        windows: The sound of those, [B, T, 20, 12].
        likeness: As of `drawing_losses`.
    """
    half, times = photo.shape[0] // 2, frames.shape[1]
    lips = networks.lips(frames[:half].flatten(0, 1)).unflatten(0, (half, times))
    sound = networks.audio(windows[half:].flatten(0, 1)[:, None]).unflatten(0, (-1, times))
    drawn = _draw(networks, networks.identity(photo), torch.cat([lips, sound]))
    return drawing_losses("faces", drawn, frames, likeness)


def drawing_losses(name: str, drawn: Tensor, reals: Tensor, likeness: PerceptualLoss) -> dict[str, Tensor]:
    """How far frames [B, T, 3, S, S], 0 to 1, are from the real ones, whatever critics think of them.

    Args:
        name: Ending of the losses' names.
        likeness: A loss of ours, on each clip's first frame: L1 alone draws a stranger out of focus.
    """
    return {
        f"frames_{name}": losses.reconstruction(drawn, reals),
        f"motion_{name}": 20 * losses.mouth_motion(drawn, reals),
        f"likeness_{name}": 20 * likeness(2 * drawn[:, 0] - 1, 2 * reals[:, 0] - 1),
    }


def run(networks: DavsNetworks, batch: DavsBatch) -> DavsOutputs:
    """Encode all and draw six frames of each clip twice: from the sound and from the lips."""
    clips = batch.words.shape[0]
    sound, lips = word_codes(networks, batch)
    early = networks.identity.early(batch.neighbours.flatten(0, 1))
    person = networks.identity(batch.photo)
    return DavsOutputs(
        sound,
        lips,
        early.view(clips, -1, *early.shape[1:]),
        *(_draw(networks, person, codes[:, batch.generated]) for codes in (sound, lips)),
    )


def modality_loss(critics: DavsCritics, sound: Tensor, lips: Tensor, softness: float = 0.0) -> dict[str, Tensor]:
    """What the modality critic minimises on word codes [B, 12, code]; nothing flows into the networks."""
    found = critics.modality(sound.detach()), critics.modality(lips.detach())
    return {"modality": losses.modality(*found, softness)}


def critic_losses(
    critics: DavsCritics, outputs: DavsOutputs, batch: DavsBatch, softness: float = 0.0
) -> dict[str, Tensor]:
    """What the person and sequence critics minimise; nothing flows into the networks.

    Args:
        softness: How soft the sequence critic's labels are; the published training draws it from 0 to 0.1 each time.

    Returns:
        Weighted losses by name; their sum is minimised.
    """
    outputs = outputs.detached()
    terms = {"person_words": F.cross_entropy(critics.person_words(outputs.early), batch.words)}
    real, sound = _twice(batch.frames[:, batch.generated]), _twice(batch.windows[:, batch.generated])
    fakes = torch.cat([outputs.by_sound, outputs.by_lips])
    judged = zip(critics.sequence(fakes, sound), critics.sequence(real, sound), strict=True)
    for name, (fake, true) in zip(("patches", "match"), judged, strict=True):
        both = losses.real_or_not(fake, False, softness) + losses.real_or_not(true, True, softness)
        terms[f"sequence_{name}"] = both / 2
    return terms


def generator_losses(
    critics: DavsCritics,
    outputs: DavsOutputs,
    batch: DavsBatch,
    likeness: PerceptualLoss,
    adversary: float = ADVERSARY,
) -> dict[str, Tensor]:
    """What the networks and the word classifier minimise. Step only them: gradients also reach the critics.

    Args:
        likeness: As of `drawing_losses`.
        adversary: As of `speech_losses`.

    Returns:
        Weighted losses by name; their sum is minimised.
    """
    reals = batch.frames[:, batch.generated]
    fakes = torch.cat([outputs.by_sound, outputs.by_lips])
    patches, match = critics.sequence(fakes, _twice(batch.windows[:, batch.generated]))
    return {
        **drawing_losses("by_sound", outputs.by_sound, reals, likeness),
        **drawing_losses("by_lips", outputs.by_lips, reals, likeness),
        "stillness": 5 * losses.stillness(outputs.by_sound, batch.photo),
        "sequence_patches": losses.real_or_not(patches, True),
        "sequence_match": losses.real_or_not(match, True),
        **speech_losses(critics, outputs.sound, outputs.lips, batch.words, adversary),
        "confusion": 1e6 * losses.confusion(critics.person_words(outputs.early)),
    }


def speech_losses(
    critics: DavsCritics, sound: Tensor, lips: Tensor, words: Tensor, adversary: float = ADVERSARY
) -> dict[str, Tensor]:
    """What brings word codes of sound and lips [B, 12, code] together; alone, the first stage of the training.

    Args:
        adversary: Weight of making the modality critic wrong.
    """
    return {
        "words_by_sound": F.cross_entropy(critics.words(sound), words),
        "words_by_lips": F.cross_entropy(critics.words(lips), words),
        "contrastive": losses.contrastive(lips, sound),
        "modality_adversary": adversary * losses.modality_adversary(critics.modality(sound), critics.modality(lips)),
    }


def _draw(networks: DavsNetworks, person: Person, codes: Tensor) -> Tensor:
    """Frames of persons that say codes [B, T, code], one time step after the other, as batch norms were trained."""
    painted = networks.decoder.paint(person)
    return torch.stack([networks.decoder.speak(painted, code) for code in codes.unbind(1)], 1)


def _twice(part: Tensor) -> Tensor:
    return torch.cat([part, part])
