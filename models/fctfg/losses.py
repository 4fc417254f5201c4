"""The formulas that FC-TFG is trained by: systems.md, 3.2. Their weights are in `models.fctfg.objective`."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.blocks.syncnet import FRAMES, MOUTH_PX
from models.fctfg.visual import lower_face


def orthogonality(canonical: Tensor, motion: Tensor) -> Tensor:
    """Mean over latents of |z_{s->c} . z_{c->d}|.

    Args:
        canonical: [B, latents, code].
        motion: [B, latents, code].
    """
    return (canonical * motion).sum(-1).abs().mean()


def identity(drawn: Tensor, source: Tensor) -> Tensor:
    """1 - cosine of identity vectors, [B, D] each; no gradient reaches `source`."""
    return (1.0 - F.cosine_similarity(drawn, source.detach())).mean()


def mouths(clip: Tensor) -> Tensor:
    """What `SyncNet` sees of five frames: [B, 5, 3, S, S], RGB, -1 to 1, to [B, 15, 48, 96], BGR, 0 to 1.

    Raises:
        ValueError: If there are not five frames.
    """
    if clip.shape[1] != FRAMES:
        raise ValueError(f"got {clip.shape[1]} frames, want {FRAMES}")
    lower = clip[..., *lower_face(clip.shape[-1])].flip(2).flatten(1, 2)
    lower = F.interpolate(lower, size=MOUTH_PX, mode="bilinear", antialias=True, align_corners=False)
    return (lower + 1.0) / 2.0


def sync(agreement: Tensor) -> Tensor:
    """1 - the scorer's cosine [B]."""
    return (1.0 - agreement).mean()


def generator_gan(fake: Tensor) -> Tensor:
    """Non-saturating loss of the generator, on scores [B, 1]: softplus(-D(fake))."""
    return F.softplus(-fake).mean()


def critic_gan(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic loss of the discriminator: softplus(-D(real)) + softplus(D(fake))."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def r1(scores: Tensor, pictures: Tensor) -> Tensor:
    """Half the squared gradient of the scores [B, 1] by the real pictures, mean over the batch.

    Source: Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML 2018, equation 9.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), pictures, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean() / 2.0
