"""How lips move, as the rig of a clip tells it: what the code of a voice has to tell beside published losses; ours."""

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.rig import BLENDSHAPES

LIPS: Final = [number for number, name in enumerate(BLENDSHAPES) if name.startswith(("jaw", "mouth"))]
"""The blendshapes that lips are told by."""
_RIDGE: Final = 0.1
"""Against the map's size: shapes that it hardly tells are not forced."""


@dataclass(frozen=True)
class Voice:
    """Stretches of B clips of T frames.

    Attributes:
        mel: Windows of the frames, as the system's audio encoder takes them, [B, T, 1, bands, length].
        lips: What the rig says of jaw and mouth, [B, T, LIPS].
    """

    mel: Tensor
    lips: Tensor


def less_mean(clips: Tensor) -> Tensor:
    """What changes in clips [B, T, ...]: each less its own mean over time."""
    return clips - clips.mean(1, keepdim=True)


def lip_motion(told: Tensor, wanted: Tensor) -> Tensor:
    """Squared error of how lips differ from their clip's mean, against that of lips that stand still.

    Args:
        told, wanted: [B, T, shapes].
    """
    told, wanted = less_mean(told), less_mean(wanted)
    return F.mse_loss(told, wanted) / wanted.square().mean()


@torch.no_grad()
def correction(codes: Tensor, head: nn.Linear, lips: Tensor) -> Tensor:
    """What codes of a voice lack to tell by `head` how the lips of their clip really moved: the least that does.

    A voice leaves much open. A generator that learns by L1 draws what is open as lips that hardly move, unless it is
    told while it learns.

    Args:
        codes: [B, T, D].
        head: The linear map from codes to lips.
        lips: What the rig says, [B, T, shapes].

    Returns:
        To be added to `codes`, [B, T, D], float32.
    """
    weight, wrong = head.weight.float(), less_mean(lips - head(codes).float())
    gram = weight @ weight.t()
    ridge = _RIDGE * gram.diagonal().mean() * torch.eye(len(gram), device=gram.device)
    return torch.linalg.solve(gram + ridge, wrong.flatten(0, 1).t()).t().view_as(wrong) @ weight
