"""How lips move, as the rig of a clip tells it: what the code of a voice has to tell beside published losses; ours."""

from dataclasses import dataclass
from typing import Final

import torch.nn.functional as F
from torch import Tensor

from models.rig import BLENDSHAPES

LIPS: Final = [number for number, name in enumerate(BLENDSHAPES) if name.startswith(("jaw", "mouth"))]
"""The blendshapes that lips are told by."""


@dataclass(frozen=True)
class Voice:
    """Stretches of B clips of T frames.

    Attributes:
        mel: Windows of the frames, as the system's audio encoder takes them, [B, T, 1, bands, length].
        lips: What the rig says of jaw and mouth, [B, T, LIPS].
    """

    mel: Tensor
    lips: Tensor


def lip_motion(told: Tensor, wanted: Tensor) -> Tensor:
    """Squared error of how lips differ from their clip's mean, against that of lips that stand still.

    Args:
        told, wanted: [B, T, shapes].
    """
    told, wanted = (lips - lips.mean(1, keepdim=True) for lips in (told, wanted))
    return F.mse_loss(told, wanted) / wanted.square().mean()
