"""Batches for the talking-face EquiAV: several windows of each of several clips, clean and augmented."""

from typing import Final

import torch
from torch import Tensor

from models.equiav.augment import TALKING_MOUTH, TALKING_SOUND, apply, draw
from models.equiav.config import AVERAGED_TRANSFORMS, SMALL, WINDOW_FRAMES, WINDOW_HOPS
from models.equiav.inputs import sound_to_patches, standard_rgb, standard_sound, strip
from models.equiav.network import View
from models.training.equiav_windows import FRAMES, Clips

WINDOWS_PER_CLIP: Final = 4
"""Windows of one clip in a batch: each other's hardest negatives, and the ones that teach synchrony."""
_STRIDE: Final = (FRAMES - WINDOW_FRAMES) // WINDOWS_PER_CLIP
_LEAST_GAP_FRAMES: Final = 4


def windows(clips: Clips, rows: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """Windows of clips `rows` [B] from frames `starts` [B] on.

    Returns:
        Sound [B, 1, 64, 128], standardised, and mouths [B, 16, 3, H, W], 0 to 1.
    """
    frames = starts[:, None] + torch.arange(WINDOW_FRAMES)
    hops = 4 * starts[:, None] + torch.arange(WINDOW_HOPS)
    sound = standard_sound(clips.sound[rows[:, None], hops])
    return sound[:, None], clips.mouths[rows[:, None], frames].float() / 255


def random_windows(clips: Clips, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """`windows`: four of each of `count` / 4 clips, at least 160 ms apart."""
    rows = torch.randperm(len(clips), generator=rng)[: count // WINDOWS_PER_CLIP].repeat_interleave(WINDOWS_PER_CLIP)
    room = _STRIDE - _LEAST_GAP_FRAMES + 1
    starts = _STRIDE * torch.arange(WINDOWS_PER_CLIP).repeat(count // WINDOWS_PER_CLIP)
    return windows(clips, rows, starts + torch.randint(room, (len(rows),), generator=rng))


def clean_inputs(sound: Tensor, mouths: Tensor) -> tuple[Tensor, Tensor]:
    """`windows` as the encoders take them: [B, 1, 128, 64] and [B, 3, H, 16 W]."""
    return sound_to_patches(sound), strip(standard_rgb(mouths))


def views(sound: Tensor, mouths: Tensor, rng: torch.Generator) -> tuple[View, View]:
    """`windows` with a random augmentation each, and random ones to average over."""
    count, height, width = len(sound), *SMALL.video.patch
    hops = (WINDOW_HOPS, sound.shape[3])
    vectors = draw(count, hops, TALKING_SOUND, rng), draw(count, (height, width), TALKING_MOUTH, rng)
    averaged = (
        draw(AVERAGED_TRANSFORMS, hops, TALKING_SOUND, rng),
        draw(AVERAGED_TRANSFORMS, (height, width), TALKING_MOUTH, rng),
    )
    per_frame = vectors[1].repeat_interleave(WINDOW_FRAMES, 0)
    changed = apply(mouths.flatten(0, 1), per_frame, TALKING_MOUTH).unflatten(0, mouths.shape[:2])
    clean = clean_inputs(sound, mouths)
    augmented = clean_inputs(apply(sound, vectors[0], TALKING_SOUND), changed)
    audio, video = (
        View(clean[i], augmented[i], vectors[i], averaged[i].expand(count, *averaged[i].shape)) for i in range(2)
    )
    return audio, video
