"""DAVS at a size for tests."""

from models.davs.config import DavsConfig

TINY = DavsConfig(
    image_px=64,
    code=8,
    stem=4,
    stages=((4, 6), (6, 5), (7,), (8, 8)),
    audio_width=4,
    lip_width=16,
    rounds=((8, 2), (7, 3), (6, 2), (5, 1)),
    last=4,
    critic_width=4,
    words=5,
)
