"""What moves in PC-AVS: the encoder of mouth and pose from video, and head angles as a pose code."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.fan import FanEncoder
from models.pcavs.config import PcavsConfig

ANGLES: Final = ("headYaw", "headPitch", "headRoll")
"""The rig controls that `PoseMap` reads."""
_ANGLE_UNIT_DEG: Final = 15.0


class MotionEncoder(nn.Module):
    """A frame without its identity (see `models.pcavs.augment`) to a mouth and a pose code.

    `to_mouth` ends in the space that audio shares; `mouth_embed` leads from there, and from audio, to the style.

    Source: systems.md, 2.3 (`FanEncoder`); head names are those of the published checkpoint.
    """

    def __init__(self, config: PcavsConfig) -> None:
        super().__init__()
        wide = config.motion.features
        self.model = FanEncoder(config.motion)
        self.to_mouth = nn.Sequential(nn.Linear(wide, wide), nn.ReLU(), nn.Linear(wide, wide))
        self.mouth_embed = nn.Sequential(nn.ReLU(), nn.Linear(wide, config.mouth))
        self.to_headpose = nn.Sequential(nn.Linear(wide, wide), nn.ReLU(), nn.Linear(wide, wide))
        self.headpose_embed = nn.Sequential(nn.ReLU(), nn.Linear(wide, config.pose))

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Frames [B, 3, S, S], RGB, -1 to 1, to the mouth feature [B, features] and the pose code [B, pose]."""
        feature = self.model(frame)
        return self.to_mouth(feature), self.pose(feature)

    def pose(self, feature: Tensor) -> Tensor:
        """The trunk's feature [B, features] to the pose code [B, pose]."""
        return self.headpose_embed(self.to_headpose(feature))


class PoseMap(nn.Module):
    """Head angles to a change of the pose code: ours, so that a control channel can turn the head.

    It learns, from frames whose angles are known, the difference of their pose code and that of the frame at rest. No
    angle is no change, whatever the weights.
    """

    def __init__(self, hidden: int, pose: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(len(ANGLES), hidden), nn.Linear(hidden, pose, bias=False)

    def forward(self, angles_deg: Tensor) -> Tensor:
        """Yaw, pitch, roll as in `models.rig`, [B, 3], degrees, to [B, pose]."""
        bent = F.silu(self.inner(angles_deg / _ANGLE_UNIT_DEG))
        return self.outer(bent - F.silu(self.inner(torch.zeros_like(angles_deg))))
