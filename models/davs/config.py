"""Sizes of DAVS: as published, and narrower ones that run at 25 fps on two cores."""

from dataclasses import dataclass
from typing import Final

from models.blocks.fan import FanConfig

WINDOW_HOPS: Final = 20
"""Hops of `mfcc12` that one frame hears: those that begin 80 ms before it to 110 ms after, each 25 ms long."""
CEPSTRA: Final = 12


@dataclass(frozen=True)
class DavsConfig:
    """Sizes of every DAVS network.

    Attributes:
        image_px: Side of the square face, 64 times a power of two.
        code: Length of the person's code and of the word code ("pid" and "wid").
        stem: Channels after the identity encoder's first block.
        stages: The identity encoder's stages: channels of each of their blocks.
        audio_width: Channels after the audio encoder's first layers.
        lip_width: Channels of the lip encoder's hourglass.
        rounds: The decoder's rounds, at 4 px and up, twice as many each time: channels and number of convolutions.
            The third round from the end works at an eighth of `image_px` and sees the person's map.
        last: Channels before the last convolution.
        critic_width: Channels after the sequence critic's first layer.
        words: How many words the classifiers of the training know.
    """

    image_px: int = 256
    code: int = 256
    stem: int = 32
    stages: tuple[tuple[int, ...], ...] = ((32, 32, 64, 64), (96, 96, 128, 128, 160, 160), (320,) * 4, (256, 256))
    audio_width: int = 64
    lip_width: int = 256
    rounds: tuple[tuple[int, int], ...] = ((512, 2), (512, 3), (256, 4), (256, 4), (128, 3), (64, 2))
    last: int = 32
    critic_width: int = 64
    words: int = 500

    def __post_init__(self) -> None:
        if 4 << len(self.rounds) != self.image_px:
            raise ValueError(f"{len(self.rounds)} rounds end at {4 << len(self.rounds)} px, want {self.image_px}")
        if self.stages[-1][-1] != self.code:
            raise ValueError(f"the last stage has {self.stages[-1][-1]} channels, want the code's {self.code}")

    @property
    def lips(self) -> FanConfig:
        """Sizes of the lip encoder. DAVS was trained when PyTorch still aligned corners."""
        return FanConfig(image_px=self.image_px, features=self.code, width=self.lip_width, align_corners=True)


PUBLISHED: Final = DavsConfig()
SMALL: Final = DavsConfig(
    image_px=128,
    code=128,
    stem=48,
    stages=((48, 64), (96, 160), (96, 96), (128, 128)),
    audio_width=32,
    lip_width=32,
    rounds=((160, 1), (128, 1), (160, 2), (128, 1), (64, 1)),
    last=32,
    critic_width=16,
)
