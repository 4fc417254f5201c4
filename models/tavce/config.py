"""Sizes of TAVCE: as published, and narrower ones."""

from dataclasses import dataclass
from typing import Final

from models.blocks.wav2lip_audio import PUBLISHED_WIDTHS

EXPRESSION: Final = 64
"""Expression coefficients of the 3-D face model."""
POSE: Final = 6
"""Three angles in radians, three translations, of the 3-D face model."""
COEFFICIENTS: Final = EXPRESSION + POSE
AROUND: Final = 13
"""Frames before and after a frame whose coefficients its key points are mapped from."""
POSE_FRAMES: Final = 32
"""Frames of which the pose is made at once."""


@dataclass(frozen=True)
class TavceConfig:
    """Sizes of every TAVCE network.

    Attributes:
        image_px: Side of the square face; a quarter of it must halve as often as the two `levels` say.
        audio: Channels of the three audio trunks, and the length of their vectors.
        correlation: Length of the features whose change is correlated.
        mouth: Channels of the mouth encoder's four stages.
        keypoints: 3-D key points, without the one that stands for the background.
        stem: Channels of the 2-D encoder's first layer; the decoder's follow from it.
        volume: Channels and depth of the 3-D features; their product is the 2-D encoder's output.
        volume_blocks: Residual blocks on the volume.
        compressed: Channels that the dense motion net keeps of the volume.
        motion: Channels at full size, at most, and levels of the dense motion net's hourglass.
        detector: The same of the key-point detector.
        detector_depth: Depth of its volume.
        mapping: Channels of the mapping from coefficients to key points.
        spade: Hidden channels of each SPADE layer.
        spade_blocks: Residual blocks of the decoder at its smallest size.
        unet: Channels of the pose net's four levels.
        styles: Pose styles (persons of the training set).
        redraw: Channels of the first layer of the nets that redraw mouths in training.
    """

    image_px: int = 256
    audio: tuple[int, int, int, int, int] = PUBLISHED_WIDTHS
    correlation: int = 128
    mouth: tuple[int, int, int, int] = (64, 128, 256, 512)
    keypoints: int = 15
    stem: int = 64
    volume: tuple[int, int] = (32, 16)
    volume_blocks: int = 6
    compressed: int = 4
    motion: tuple[int, int, int] = (32, 1024, 5)
    detector: tuple[int, int, int] = (32, 1024, 5)
    detector_depth: int = 16
    mapping: int = 1024
    spade: int = 128
    spade_blocks: int = 6
    unet: tuple[int, int, int, int] = (32, 64, 128, 256)
    styles: int = 46
    redraw: int = 64

    @property
    def features(self) -> int:
        """Channels of the 2-D encoder's output."""
        return self.volume[0] * self.volume[1]


PUBLISHED: Final = TavceConfig()
SMALL: Final = TavceConfig(
    image_px=128,
    audio=(16, 32, 64, 128, 256),
    correlation=64,
    mouth=(16, 32, 64, 128),
    keypoints=8,
    stem=8,
    volume=(24, 2),
    volume_blocks=1,
    compressed=1,
    motion=(8, 64, 4),
    detector=(16, 192, 4),
    detector_depth=4,
    mapping=192,
    spade=8,
    spade_blocks=1,
    unet=(8, 16, 32, 64),
    redraw=16,
)
"""128 px, about 0.8 GMAC a frame."""
