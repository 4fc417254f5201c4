"""All networks of one FC-TFG, together: what is trained, saved and drawn with."""

from torch import Tensor, nn

from models.blocks.carried import Carrier
from models.blocks.pose import PoseMap
from models.blocks.style_generator import ModulatedGenerator, NoisePolicy
from models.blocks.wav2lip_audio import Wav2LipAudio
from models.fctfg.config import FctfgConfig
from models.fctfg.latents import CanonicalEncoder, MotionEncoder, TemporalFusion
from models.fctfg.visual import VisualEncoder, cover_mouths


class FctfgNetworks(nn.Module):
    """Visual and audio encoder, the two mappings, the fusion, the generator, and our pose map.

    The pose map ends in the motion encoder's first layer, beside the driver's half of it.
    """

    def __init__(self, config: FctfgConfig) -> None:
        super().__init__()
        self.config = config
        self.visual = VisualEncoder(config)
        self.carrier = Carrier((3, *config.encoder_widths), config.generator.carried)
        self.audio = Wav2LipAudio(config.audio_widths)
        self.canonical = CanonicalEncoder(config)
        self.motion = MotionEncoder(config)
        self.fusion = TemporalFusion(config)
        self.generator = ModulatedGenerator(config.generator)
        self.pose_map = PoseMap(config.pose_hidden, config.latents * config.code)

    def look(self, photo: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Photos [B, 3, S, S], RGB, -1 to 1, to z_{s->c} [B, latents, code] and what is carried over from them."""
        maps = self.visual.trunk(photo)
        return self.canonical(self.visual.latents(maps)), self.carrier([photo, *maps])

    def hear(self, mel: Tensor) -> Tensor:
        """Codes of a voice, [B, T, audio_widths[4]], from its `wav2lip_mel80` windows [B, T, 1, 80, 16]."""
        return self.audio(mel.flatten(0, 1)).unflatten(0, mel.shape[:2])

    def encode(self, source: Tensor, driver: Tensor, voice: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The two codes whose sum is drawn, and what is carried over.

        Args:
            source: Photos, [B, 3, S, S], RGB, -1 to 1.
            driver: Clips that show pose and eyes; their mouths are covered, [B, T, 3, S, S].
            voice: Answer of `hear`, [B, T, audio_widths[4]].

        Returns:
            z_{s->c} [B, latents, code], z_{c->d} [B, T, latents, code], and the source's features as of `look`.
        """
        clip = driver.shape[:2]
        canonical, carried = self.look(source)
        watched = self.visual(cover_mouths(driver).flatten(0, 1))
        motion = self.motion(watched, voice.flatten(0, 1))
        return canonical, motion.unflatten(0, clip), carried

    def pose_codes(self, driver: Tensor) -> Tensor:
        """What the motion mapping takes of a driver's crops [T, 3, S, S], -1 to 1: [T, latents * code]."""
        return self.motion.watch(self.visual(cover_mouths(driver))).flatten(1)

    def draw(self, latents: Tensor, carried: list[Tensor], noise: NoisePolicy = "random") -> Tensor:
        """Summed codes [B, T, latents, code] and what `encode` carries to clips [B, T, 3, S, S], about -1 to 1."""
        clip = latents.shape[:2]
        sources = [features.repeat_interleave(clip[1], 0) for features in carried]
        return self.generator(latents.flatten(0, 1), noise=noise, carried=sources).unflatten(0, clip)

    def forward(self, source: Tensor, driver: Tensor, mel: Tensor, noise: NoisePolicy = "random") -> Tensor:
        """Draw whole clips in one go, nothing cached; arguments as for `encode` and `hear`, answer as of `draw`."""
        canonical, motion, carried = self.encode(source, driver, self.hear(mel))
        return self.draw(self.fusion(canonical[:, None] + motion), carried, noise)
