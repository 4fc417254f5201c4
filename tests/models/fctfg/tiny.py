"""FC-TFG as narrow as can be."""

from models.blocks.style_generator import GeneratorConfig
from models.fctfg.config import FctfgConfig


def tiny(mixing, carries=False):
    return FctfgConfig(
        encoder_widths=(16, 16, 16, 16),
        encoder_units=(1, 1, 2, 1),
        mixing=mixing,
        audio_widths=(4, 4, 4, 4, 5),
        generator=GeneratorConfig(6, 4, (8, 6, 4, 4), constant_start=True, tanh=False, carries=carries),
        critic_widths=(4, 4, 6, 8),
        pose_hidden=5,
    )
