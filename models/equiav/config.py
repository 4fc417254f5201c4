"""Sizes of an EquiAV network."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class BranchConfig:
    """What one modality's encoder takes in.

    Attributes:
        channels: Of the input.
        size: Rows and columns of the input: bands and hops of sound, pixels of a picture. Frames of a window lie side
            by side, so that columns are time.
        patch: Rows and columns that become one token.
        transform_size: Entries of a vector that describes an augmentation.
    """

    channels: int
    size: tuple[int, int]
    patch: tuple[int, int]
    transform_size: int

    def __post_init__(self) -> None:
        if any(whole % part for whole, part in zip(self.size, self.patch, strict=True)):
            raise ValueError(f"size must be whole patches, got {self.size} in patches of {self.patch}")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens."""
        return self.size[0] // self.patch[0], self.size[1] // self.patch[1]


@dataclass(frozen=True)
class EquiAVConfig:
    """Sizes of a network (specification 4.3); the defaults are the published ones."""

    audio: BranchConfig
    video: BranchConfig
    width: int = 768
    depth: int = 12
    heads: int = 12
    transform_width: int = 256
    predictor_heads: int = 8
    predictor_head_width: int = 64
    projection_width: int = 2048
    embedding: int = 512


AUDIO_TRANSFORM: Final = 24
VIDEO_TRANSFORM: Final = 18
AVERAGED_TRANSFORMS: Final = 16
"""Augmentation vectors over which the inter-modal embedding is averaged."""

PUBLISHED: Final = EquiAVConfig(
    audio=BranchConfig(3, (128, 1024), (16, 16), AUDIO_TRANSFORM),
    video=BranchConfig(3, (224, 224), (16, 16), VIDEO_TRANSFORM),
)
"""ViT-B/16 on 10.24 s of sound and one picture, 211.5 M parameters that are used."""

WINDOW_FRAMES: Final = 16
WINDOW_HOPS: Final = 4 * WINDOW_FRAMES
SMALL: Final = EquiAVConfig(
    audio=BranchConfig(1, (128, WINDOW_HOPS), (128, 4), AUDIO_TRANSFORM),
    video=BranchConfig(3, (24, 40 * WINDOW_FRAMES), (24, 40), VIDEO_TRANSFORM),
    width=64,
    depth=3,
    heads=2,
    transform_width=64,
    predictor_heads=2,
    predictor_head_width=32,
    projection_width=256,
    embedding=128,
)
"""The talking-face variant: 0.64 s of sound and 16 mouths of 40 x 24 px; a token is 40 ms of either."""
