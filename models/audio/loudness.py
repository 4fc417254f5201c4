"""The 100 dB scale of the Slaney-mel front ends, from Tacotron's `audio.py`: 0 at -80 dB, 1 at +20 dB."""

from typing import Final

import torch
from torch import Tensor

RANGE_DB: Final = 100.0
REFERENCE_DB: Final = 20.0


def loudness(mel: Tensor) -> Tensor:
    """Mel magnitudes to 0 (1e-4 and less) .. 1 (10 and more); any shape.

    `(20 log10(max(1e-5, mel)) - 20 + 100) / 100`, clipped.
    """
    decibel = 20.0 * torch.log10(mel.clamp_min(10.0 ** (-RANGE_DB / 20.0))) - REFERENCE_DB
    return ((decibel + RANGE_DB) / RANGE_DB).clamp(0.0, 1.0)
