"""Head angles of a clip's frames, as the control channel names them."""

from typing import Final

import torch
from torch import Tensor

from models.tavce.config import EXPRESSION

_PER_RADIAN: Final = torch.tensor([1.0, -1.0, -1.0]) * (180 / torch.pi)


def angles_deg(coefficients: Tensor) -> Tensor:
    """Yaw, pitch, roll as in `models.rig`, degrees, [T, 3], from a clip's coefficients [T, 70]."""
    return coefficients[:, [EXPRESSION + 1, EXPRESSION, EXPRESSION + 2]] * _PER_RADIAN
