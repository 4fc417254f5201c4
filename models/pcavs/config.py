"""The sizes of PC-AVS: as published, and narrow enough for two CPU cores."""

from dataclasses import dataclass
from typing import Final

from models.blocks.fan import FanConfig
from models.blocks.style_generator import GeneratorConfig


@dataclass(frozen=True)
class PcavsConfig:
    """Sizes of all networks of one PC-AVS.

    Attributes:
        audio_widths: Channels of the four stages of the audio encoder.
        attention: Hidden channels of its pooling over time.
        identity_planes: Bottleneck widths of the identity encoder before doubling; its vector has four times the last.
        identity_groups: Groups of its grouped convolutions.
        motion: The encoder of mouth and pose; its `features` are also what the audio encoder gives.
        pose: Length of the pose code. The mouth code has `motion.features - pose`.
        generator: The generator; `style_dim` is identity + mouth + pose. With `carries` it takes over features of the
            photo, which is ours.
        critic_width: Channels after the first layer of a discriminator.
        pose_hidden: Hidden width of the map from head angles to the pose code (ours).
    """

    audio_widths: tuple[int, int, int, int]
    attention: int
    identity_planes: tuple[int, int, int, int]
    identity_groups: int
    motion: FanConfig
    pose: int
    generator: GeneratorConfig
    critic_width: int
    pose_hidden: int

    def __post_init__(self) -> None:
        got, want = self.generator.style_dim, self.identity + self.motion.features
        if got != want:
            raise ValueError(f"got a style of {got}, want identity + mouth + pose = {want}")
        if self.motion.image_px != self.generator.frame_px:
            raise ValueError(f"got faces of {self.motion.image_px} px, want the frame's {self.generator.frame_px}")

    @property
    def identity(self) -> int:
        """Length of the identity vector."""
        return 4 * self.identity_planes[3]

    @property
    def mouth(self) -> int:
        """Length of the mouth code."""
        return self.motion.features - self.pose

    @property
    def frame_px(self) -> int:
        """Side of the square picture, in and out."""
        return self.generator.frame_px


PUBLISHED: Final = PcavsConfig(
    audio_widths=(32, 64, 128, 256),
    attention=128,
    identity_planes=(64, 128, 256, 512),
    identity_groups=32,
    motion=FanConfig(image_px=224, features=512, align_corners=False),
    pose=12,
    generator=GeneratorConfig(2560, 7, (512, 512, 512, 512, 256, 128), constant_start=False, tanh=True),
    critic_width=64,
    pose_hidden=64,
)
"""As the published checkpoints: systems.md, 2.3."""

SMALL: Final = PcavsConfig(
    audio_widths=(16, 32, 64, 128),
    attention=64,
    identity_planes=(24, 48, 96, 192),
    identity_groups=12,
    motion=FanConfig(image_px=128, features=128, width=64, align_corners=False),
    pose=12,
    generator=GeneratorConfig(896, 16, (160, 96, 64, 32), constant_start=False, tanh=True, carries=True),
    critic_width=32,
    pose_hidden=64,
)
"""128 px, under one GMAC a frame."""
