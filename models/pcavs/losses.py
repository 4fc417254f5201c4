"""The formulas that PC-AVS is trained by: systems.md, 2.5. Their weights are in `models.pcavs.objective`."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from models.blocks import hinge

_CLOSEST: Final = 1e-4  # two equal features would have an infinite logit


def contrastive(query: Tensor, key: Tensor) -> Tensor:
    """Cross-entropy of picking a clip's own counterpart by inverse distance; no gradient reaches `query`.

    logits_ij = 1 / |q_i - k_j| with both of length one; the right answer is j = i.

    Args:
        query: Features of B clips in one modality, [B, D].
        key: Of the same clips in the other, [B, D].
    """
    distances = _distances(F.normalize(query.detach()), F.normalize(key))
    return F.cross_entropy(1.0 / distances.clamp(min=_CLOSEST), torch.arange(len(query), device=query.device))


def _distances(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vector_norm(a[:, None] - b[None], dim=2)


def sync(video: Tensor, voice: Tensor) -> dict[str, Tensor]:
    """What brings the mouth features of video and voice together, unweighted.

    Args:
        video: Mouth features of B clips of T frames, [B, T, features].
        voice: Of the same frames, [B, T, features].
    """
    seen, heard = video.flatten(1), voice.flatten(1)
    return {
        "cross_modal": F.l1_loss(heard, seen.detach()),
        "video_to_voice": contrastive(seen, heard),
        "voice_to_video": contrastive(heard, seen),
    }


def hinge_critic(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """The discriminator's hinge loss on answers of `MultiScaleCritic`, mean over scales."""
    return torch.stack([hinge.hinge_critic(r[-1], f[-1]) for r, f in zip(real, fake, strict=True)]).mean()


def hinge_generator(fake: list[list[Tensor]]) -> Tensor:
    """The generator's side of the hinge loss, mean over scales."""
    return torch.stack([hinge.hinge_generator(scale[-1]) for scale in fake]).mean()


def feature_matching(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """L1 between all maps but the scores, summed over layers, mean over scales; no gradient reaches `real`.

    The first "map" is the picture itself: this is also the L1 loss on pictures.
    """
    scales = [hinge.feature_matching(r[:-1], f[:-1]) for r, f in zip(real, fake, strict=True)]
    return torch.stack(scales).mean()


def confusion(scores: Tensor) -> Tensor:
    """Squared error between softmax(scores) [B, classes] and the uniform distribution."""
    return F.mse_loss(scores.softmax(1), torch.full_like(scores, 1.0 / scores.shape[1]))
