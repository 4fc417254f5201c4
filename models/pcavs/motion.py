"""What moves in PC-AVS: the encoder of mouth and pose from video."""

from torch import Tensor, nn

from models.blocks.fan import FanEncoder
from models.pcavs.config import PcavsConfig


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
