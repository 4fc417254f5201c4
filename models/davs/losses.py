"""DAVS's losses, each by its formula. Source: AAAI 2019, sections 3.2 to 3.4, and the published `loss_functions.py`.

Every function gives a scalar; weights are applied where the losses are summed, in `models.davs.objective`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def contrastive(lips: Tensor, sound: Tensor, margin: float = 1.0) -> Tensor:
    """Pull a clip's sound to its own lips, push it from the other clips' lips; only the sound learns.

    With d_ij the distance of the i-th lips and the j-th sound, both scaled to length 1, of N clips:
    (sum_{i != j} max(0, margin - d_ij)^2 + sum_i d_ii^2) / (2 N).

    Args:
        lips, sound: Word codes of N clips, [N, 12, code].
        margin: How far apart clips should be, 0 to 2.
    """
    one, other = (F.normalize(codes.flatten(1), dim=1) for codes in (lips.detach(), sound))
    apart = torch.linalg.vector_norm(one[:, None] - other[None], dim=2)
    own = torch.eye(len(apart), dtype=torch.bool, device=apart.device)
    pushed = (margin - apart).clamp(min=0).masked_fill(own, 0.0)
    return (pushed.square().sum() + apart.diagonal().square().sum()) / (2 * len(apart))


def real_or_not(chances: Tensor, real: bool, softness: float = 0.0) -> Tensor:
    """Cross-entropy of chances in 0..1 with the label 1 - softness if `real`, else softness."""
    label = 1.0 - softness if real else softness
    with torch.autocast(chances.device.type, enabled=False):  # chances near 0 and 1 want all their digits
        chances = chances.float()
        return F.binary_cross_entropy(chances, torch.full_like(chances, label))


def modality(sound: Tensor, lips: Tensor, softness: float = 0.0) -> Tensor:
    """What the modality critic minimises, over its chances of sound: [BCE(lips, 0) + BCE(sound, 1)] / 2.

    Args:
        sound, lips: Its logits for codes of sound and of lips: a sigmoid that is full would teach it nothing any more.
        softness: How soft the labels are; 0 as published.
    """
    return (_is_sound(lips, softness) + _is_sound(sound, 1.0 - softness)) / 2


def modality_adversary(sound: Tensor, lips: Tensor) -> Tensor:
    """What the encoders minimise, over the same logits: the labels changed, BCE(sound, 0) + BCE(lips, 1)."""
    return _is_sound(sound, 0.0) + _is_sound(lips, 1.0)


def _is_sound(logits: Tensor, label: float) -> Tensor:
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def confusion(logits: Tensor) -> Tensor:
    """How far a classifier of the person's maps is from knowing nothing: mean of (softmax - 1 / words)^2.

    Args:
        logits: [B, words].
    """
    return (logits.softmax(1) - 1 / logits.shape[1]).square().mean()


def mouth_mask(image_px: int, like: Tensor) -> Tensor:
    """1 in DAVS's mouth rectangle (rows 170 to 233, columns 64 to 191 of 256), else 0, [1, 1, S, S]."""
    top, bottom, left, right = (edge * image_px // 256 for edge in (170, 234, 64, 192))
    mask = torch.zeros(1, 1, image_px, image_px, device=like.device, dtype=like.dtype)
    mask[..., top:bottom, left:right] = 1.0
    return mask


def reconstruction(fakes: Tensor, reals: Tensor) -> Tensor:
    """4 L1 of the frames plus 8 L1 of their mouths, both meant over all pixels, in levels of 255.

    Args:
        fakes, reals: [..., 3, S, S], 0 to 1.
    """
    off = 255 * (fakes - reals).abs()
    return 4 * off.mean() + 8 * (off * mouth_mask(fakes.shape[-1], off)).mean()


def mouth_motion(fakes: Tensor, reals: Tensor) -> Tensor:
    """L1 of how mouths differ from their clip's mean, in levels of 255: ours.

    `reconstruction` is mostly how far a blurred face is off as a whole; lips that stand still cost little beside it.

    Args:
        fakes, reals: Frames in a row, [B, T, 3, S, S], 0 to 1.
    """
    moved = (frames - frames.mean(1, keepdim=True) for frames in (fakes, reals))
    off = 255 * (next(moved) - next(moved)).abs()
    mask = mouth_mask(fakes.shape[-1], off)
    return (off * mask).mean() / mask.mean()


def stillness(fakes: Tensor, photo: Tensor) -> Tensor:
    """Sum over frames of the L1 change outside the mouth since the frame before, which is taken as given.

    Args:
        fakes: Frames in a row, [B, T, 3, S, S], 0 to 1.
        photo: What comes before the first of them, [B, 3, S, S].
    """
    before = torch.cat([photo[:, None], fakes[:, :-1]], 1).detach()
    change = (fakes - before).abs() * (1 - mouth_mask(fakes.shape[-1], fakes))
    return change.mean((0, 2, 3, 4)).sum()


def adaptation(face: Tensor, photo: Tensor) -> Tensor:
    """What the test-time adaptation minimises: 4 L1 of what a person's decoder draws, the mouth weighing 0.001.

    Args:
        face, photo: [B, 3, S, S], 0 to 1.
    """
    weight = 1 - 0.999 * mouth_mask(face.shape[-1], face)
    return 4 * (face * weight - photo * weight).abs().mean()
