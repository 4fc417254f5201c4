"""What PC-AVS and FC-TFG learn lips from the voice on, before they draw any."""

from typing import Final

import torch

from models.blocks.lip_motion import LIPS, Voice
from models.training.clips import draw_rows
from models.training.watched import Watched

VOICE_FRAMES: Final = 20
_MORE: Final = 4
"""Clips, for one of other stages. Of four at a time nothing is learned that holds for others."""


def voices(seen: Watched, count: int, random: torch.Generator) -> Voice:
    """`VOICE_FRAMES` that follow each other of four times `count` clips."""
    mel, lips = list[torch.Tensor](), list[torch.Tensor]()
    for row in draw_rows(len(seen.clips), _MORE * count, random):
        first = seen.start(row, VOICE_FRAMES, random)
        times = range(first, first + VOICE_FRAMES)
        mel.append(seen.spectra(row, times))
        lips.append(seen.coefficients(row)[times][:, LIPS])
    return Voice(torch.stack(mel), torch.stack(lips))
