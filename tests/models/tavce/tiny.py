"""TAVCE at a size for tests."""

from models.tavce.config import TavceConfig

TINY = TavceConfig(
    image_px=32,
    audio=(4, 6, 8, 8, 16),
    correlation=6,
    mouth=(4, 4, 6, 6),
    keypoints=4,
    stem=4,
    volume=(4, 3),
    volume_blocks=2,
    compressed=2,
    motion=(4, 16, 3),
    detector=(4, 16, 3),
    detector_depth=3,
    mapping=10,
    spade=5,
    spade_blocks=2,
    unet=(3, 4, 5, 6),
    styles=3,
    redraw=4,
)
