"""Batches for the talking-face EquiAV: windows of clips, clean and augmented."""

import torch
from torch import Tensor

from models.equiav.augment import TALKING_MOUTH, TALKING_SOUND, apply, draw
from models.equiav.config import AVERAGED_TRANSFORMS, SMALL, WINDOW_FRAMES, WINDOW_HOPS
from models.equiav.inputs import sound_to_patches, standard_rgb, strip
from models.equiav.network import View


def clean_inputs(sound: Tensor, mouths: Tensor) -> tuple[Tensor, Tensor]:
    """`equiav_windows.windows` as the encoders take them: [B, 1, 128, 64] and [B, 3, H, 16 W]."""
    return sound_to_patches(sound), strip(standard_rgb(mouths))


def views(sound: Tensor, mouths: Tensor, rng: torch.Generator) -> tuple[View, View]:
    """`equiav_windows.windows` with a random augmentation each, and random ones to average over."""
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
