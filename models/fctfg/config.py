"""The sizes of FC-TFG. Nothing official was released: `PUBLISHED` is what is known of it (systems.md, 3.2)."""

from dataclasses import dataclass
from typing import Final, Literal

from models.blocks.style_generator import GeneratorConfig
from models.blocks.wav2lip_audio import PUBLISHED_WIDTHS


@dataclass(frozen=True)
class FctfgConfig:
    """Sizes of all networks of one FC-TFG.

    Attributes:
        encoder_widths: Channels of the four stages of the visual encoder; the last is also that of its pyramid.
        encoder_units: Residual units of each stage.
        mixing: Whether canonical and motion encoder see all latents at once ("flattened"), or each latent by itself
            through the same layers ("per_style", two hundred times smaller).
        audio_widths: Of the Wav2Lip trunk.
        generator: Learned start, no tanh; `style_dim` is the length of a latent. With `carries` it takes over features
            of the photo, as FC-TFG's sibling LIA does (systems.md, 3.3).
        critic_widths: Channels of the discriminator at full size and after each halving, down to 4 px.
        pose_hidden: Hidden width of the map from head angles (ours).
    """

    encoder_widths: tuple[int, int, int, int]
    encoder_units: tuple[int, int, int, int]
    mixing: Literal["flattened", "per_style"]
    audio_widths: tuple[int, int, int, int, int]
    generator: GeneratorConfig
    critic_widths: tuple[int, ...]
    pose_hidden: int

    def __post_init__(self) -> None:
        got, want = len(self.critic_widths), len(self.generator.widths)
        if got != want:
            raise ValueError(f"got {got} widths of the discriminator, want one for each of the generator's {want}")

    @property
    def latents(self) -> int:
        """Latents that make a face."""
        return self.generator.latents

    @property
    def code(self) -> int:
        """Length of a latent."""
        return self.generator.style_dim

    @property
    def mixed(self) -> int:
        """Inputs of the canonical encoder's layers."""
        return self.code * (self.latents if self.mixing == "flattened" else 1)

    @property
    def frame_px(self) -> int:
        """Side of the square picture, in and out."""
        return self.generator.frame_px


PUBLISHED: Final = FctfgConfig(
    encoder_widths=(64, 128, 256, 512),
    encoder_units=(3, 4, 14, 3),
    mixing="flattened",
    audio_widths=PUBLISHED_WIDTHS,
    generator=GeneratorConfig(512, 4, (512, 512, 512, 512, 256, 128, 64), constant_start=True, tanh=False),
    critic_widths=(64, 128, 256, 512, 512, 512, 512),
    pose_hidden=64,
)

SMALL: Final = FctfgConfig(
    encoder_widths=(16, 32, 64, 96),
    encoder_units=(2, 2, 2, 2),
    mixing="per_style",
    audio_widths=(16, 32, 64, 96, 128),
    generator=GeneratorConfig(128, 4, (160, 160, 128, 96, 48, 24), constant_start=True, tanh=False, carries=True),
    critic_widths=(32, 64, 96, 128, 128, 128),
    pose_hidden=64,
)
"""128 px, under one GMAC a frame."""
