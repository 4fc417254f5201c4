"""All networks of one PC-AVS, together: what is trained, saved and drawn with."""

from typing import Final

import torch
from torch import Tensor, nn

from models.blocks.pose import PoseMap
from models.blocks.style_generator import ModulatedGenerator, NoisePolicy
from models.pcavs.audio import SyncEncoder
from models.pcavs.config import PcavsConfig
from models.pcavs.identity import IdentityEncoder
from models.pcavs.motion import MotionEncoder

AUDIO_GAIN: Final = 1.2
"""What the mouth feature of a voice is multiplied by when drawing, not when training: systems.md, 2.4."""


class PcavsNetworks(nn.Module):
    """The five networks: identity (V), audio (A_sync), motion (E), generator (G), and our pose map."""

    def __init__(self, config: PcavsConfig) -> None:
        super().__init__()
        self.config = config
        self.identity = IdentityEncoder(config)
        self.audio = SyncEncoder(config)
        self.motion = MotionEncoder(config)
        self.generator = ModulatedGenerator(config.generator)
        self.pose_map = PoseMap(config.pose_hidden, config.pose)

    def style(self, identity: Tensor, mouth_feature: Tensor, pose: Tensor) -> Tensor:
        """One style for all layers, [B, style_dim].

        Args:
            identity: Vector of the person, [B, identity].
            mouth_feature: From voice or video, before `mouth_embed`, [B, features].
            pose: Pose code, [B, pose].
        """
        return torch.cat([identity, self.motion.mouth_embed(mouth_feature), pose], 1)

    def draw(self, style: Tensor, maps: list[Tensor], noise: NoisePolicy = "random") -> Tensor:
        """Styles [B, style_dim] and maps of `IdentityEncoder` to pictures [B, 3, frame_px, frame_px], RGB, -1 to 1."""
        latents = style[:, None].expand(-1, self.config.generator.latents, -1)
        return self.generator(latents, maps[0], noise, maps[1:])

    def forward(self, photos: Tensor, mel: Tensor, pose_frames: Tensor, noise: NoisePolicy = "random") -> Tensor:
        """The published inference in one go, nothing cached.

        Args:
            photos: See `IdentityEncoder.forward`.
            mel: See `SyncEncoder.forward`.
            pose_frames: Frames that show the wanted pose, [B, 3, S, S], RGB, -1 to 1.
            noise: Of the generator.

        Returns:
            Pictures, [B, 3, frame_px, frame_px], RGB, -1 to 1.
        """
        identity, maps = self.identity(photos)
        _, pose = self.motion(pose_frames)
        return self.draw(self.style(identity, AUDIO_GAIN * self.audio(mel), pose), maps, noise)
