"""What the encoders see: standardised `kaldi_fbank128` pictures and standardised RGB (specification 4.2)."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_ENERGIES: Final = (0.0, 1.0)
"""Statistics under which `KaldiFbank128` gives its rows as they are."""
TALKING: Final = (-7.5, 4.0)
"""Mean and standard deviation of the log energies of close speech; constants, so that a stream needs no past."""
RGB_MEAN: Final = (0.485, 0.456, 0.406)
RGB_DEVIATION: Final = (0.229, 0.224, 0.225)


def standard_sound(rows: Tensor) -> Tensor:
    """Log energies of speech, any shape, with about mean 0 and deviation 1."""
    mean, deviation = TALKING
    return (rows - mean) / deviation


def sound_to_patches(sound: Tensor) -> Tensor:
    """Sound with time down, [B, C, hops, bands], to the encoder's input with time across, [B, C, bands, hops].

    The published network has C = 3: three times `KaldiFbank128.clip`.
    """
    return sound.transpose(2, 3)


def centred(picture: Tensor, side_px: int = 224) -> Tensor:
    """A picture's middle: the shorter side to `side_px`, bicubic, then cut; [3, H, W], 0 to 1, to [3, 224, 224]."""
    height, width = picture.shape[1:]
    scale = side_px / min(height, width)
    size = [round(height * scale), round(width * scale)]
    resized = F.interpolate(picture[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
    top, left = (size[0] - side_px) // 2, (size[1] - side_px) // 2
    return resized[:, top : top + side_px, left : left + side_px]


def standard_rgb(pictures: Tensor) -> Tensor:
    """RGB [..., 3, H, W], 0 to 1, as the encoder takes it: ImageNet's mean 0 and deviation 1."""
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (RGB_MEAN, RGB_DEVIATION))
    return (pictures - mean) / deviation


def strip(frames: Tensor) -> Tensor:
    """Frames of windows side by side, [B, T, 3, H, W] to [B, 3, H, T * W]."""
    return frames.permute(0, 2, 3, 1, 4).flatten(3)
