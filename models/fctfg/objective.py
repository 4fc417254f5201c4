"""What FC-TFG minimises and which networks each loss may move. Stages: voice, inversion, faces, generator."""

from dataclasses import dataclass
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.face_likeness import FaceLikeness
from models.blocks.lip_motion import LIPS, Voice, correction, lip_motion
from models.blocks.perceptual import PerceptualLoss, Vgg19
from models.blocks.syncnet import FRAMES, SyncNet
from models.fctfg.critic import ResidualCritic
from models.fctfg.losses import critic_gan, generator_gan, identity, mouths, orthogonality, r1, sync
from models.fctfg.networks import FctfgNetworks

R1_EVERY: Final = 16
"""Steps of the discriminator from one R1 penalty to the next, which is weighted as much more."""
_PERCEPTUAL_WEIGHTS: Final = (10.0,) * 5
_PERCEPTUAL_SIZES: Final = (0, 1, 2, 3)


@dataclass(frozen=True)
class LossWeights:
    """The paper's weights are not known; these are the starting point of systems.md, 3.2."""

    l1: float = 10.0
    perceptual: float = 1.0
    adversarial: float = 0.1
    identity: float = 0.5
    sync: float = 0.1
    orthogonality: float = 1.0
    r1: float = 10.0
    lips: float = 10.0
    """Ours: see `FctfgObjective.voice`."""
    mouth: float = 20.0
    """Ours, as PC-AVS's."""


@dataclass(frozen=True)
class Batch:
    """B clips of T frames, each of one person. T is five where they follow each other, which sync is judged on.

    Attributes:
        source: Photos of the persons, [B, 3, S, S], RGB, -1 to 1.
        frames: What is to be drawn. They are their own driver, whose mouth the networks cover, [B, T, 3, S, S].
        mel: `wav2lip_mel80` windows of the frames, [B, T, 1, 80, 16].
        lips: What the rig says of jaw and mouth, [B, T, LIPS].
    """

    source: Tensor
    frames: Tensor
    mel: Tensor
    lips: Tensor


class FctfgObjective(nn.Module):
    """Discriminator, judges and weights around one `FctfgNetworks`.

    Args:
        networks: What is trained.
        face_vector: Pictures [B, 3, S, S], -1 to 1, to identity vectors: `ArcFace.load(path)` as published, or any
            frozen network that was trained to tell persons apart.
        scorer: `SyncNet.load(path)` as published, or one trained on the own data, frozen.
        vgg: `Vgg19.load(path)` as published, or the stand-in.
        weights: Of the losses.
    """

    def __init__(
        self,
        networks: FctfgNetworks,
        face_vector: nn.Module,
        scorer: SyncNet,
        vgg: nn.Module | None = None,
        weights: LossWeights | None = None,
    ) -> None:
        super().__init__()
        self.networks, self.weights = networks, weights or LossWeights()
        self.critic_net = ResidualCritic(networks.config.critic_widths)
        self._judged: Tensor | None = None
        self.face_vector, self.scorer = face_vector.requires_grad_(False), scorer.requires_grad_(False)
        judge = vgg or Vgg19.stand_in()
        self.perceptual = PerceptualLoss(judge, _PERCEPTUAL_WEIGHTS, sizes=_PERCEPTUAL_SIZES, normalise=True)
        self.likeness = FaceLikeness(judge)
        self.lips_head = nn.Linear(networks.config.audio_widths[4], len(LIPS))

    def voice(self, batch: Voice) -> dict[str, Tensor]:
        """Ours: one linear map has to tell from the voice how lips move. Moves the audio encoder and that map.

        From the pictures alone the voice is found late, or never.
        """
        return self._lips(self.networks.hear(batch.mel), batch.lips)

    def inversion(self, batch: Batch) -> dict[str, Tensor]:
        """The frames from their own latents. Moves visual encoder and generator."""
        real = batch.frames.flatten(0, 1)
        drawn = self.networks.generator(self.networks.visual(real))
        self._judged = drawn.detach()
        return self._likeness(drawn, real) | {"adversarial": self._adversarial(drawn)}

    def faces(self, batch: Batch) -> dict[str, Tensor]:
        """Many persons, without the discriminator: ours. Moves what `generator` moves, but not the fusion over time.

        Drawn is what the voice would say if it told all of how the lips move.
        """
        net = self.networks
        voice = net.hear(batch.mel)
        told = voice + correction(voice, self.lips_head, batch.lips)
        canonical, motion, carried = net.encode(batch.source, batch.frames, told)
        drawn = net.draw(canonical[:, None] + motion, carried)
        return (
            self.likeness(drawn, batch.frames) | self._lips(voice, batch.lips) | self._orthogonality(canonical, motion)
        )

    def generator(self, batch: Batch) -> dict[str, Tensor]:
        """Last stage, the generator's turn: weighted losses. Moves all networks but the pose map."""
        w, net, real = self.weights, self.networks, batch.frames.flatten(0, 1)
        voice = net.hear(batch.mel)
        canonical, motion, carried = net.encode(batch.source, batch.frames, voice)
        clip = net.draw(net.fusion(canonical[:, None] + motion), carried)
        drawn = clip.flatten(0, 1)
        self._judged = drawn.detach()
        source = batch.source.repeat_interleave(FRAMES, 0)
        agreement = self.scorer(mouths(clip), batch.mel[:, FRAMES // 2])
        likeness = self._likeness(drawn, real) | {
            "mouth": w.mouth * self.likeness.mouth(drawn, real),
            "motion": self.likeness.motion(clip, batch.frames),
        }
        return (
            likeness
            | self._lips(voice, batch.lips)
            | self._orthogonality(canonical, motion)
            | {
                "adversarial": self._adversarial(drawn),
                "identity": w.identity * identity(self.face_vector(drawn), self.face_vector(source)),
                "sync": w.sync * sync(agreement),
            }
        )

    def critic(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The discriminator's turn in inversion or last, on what the generator's drew last. Moves `critic_net` alone.

        Every sixteenth `step` adds R1.
        """
        assert self._judged is not None, "the generator's turn comes first"
        real = batch.frames.flatten(0, 1).detach().requires_grad_(step % R1_EVERY == 0)
        scores = self.critic_net(real)
        losses = {"critic": critic_gan(scores, self.critic_net(self._judged))}
        if step % R1_EVERY == 0:
            losses["r1"] = self.weights.r1 * R1_EVERY * r1(scores, real)
        return losses

    def _lips(self, voice: Tensor, lips: Tensor) -> dict[str, Tensor]:
        return {"lips": self.weights.lips * lip_motion(self.lips_head(voice), lips)}

    def _likeness(self, drawn: Tensor, real: Tensor) -> dict[str, Tensor]:
        return {
            "l1": self.weights.l1 * F.l1_loss(drawn, real),
            "perceptual": self.weights.perceptual * self.perceptual(drawn, real),
        }

    def _orthogonality(self, canonical: Tensor, motion: Tensor) -> dict[str, Tensor]:
        per_frame = canonical[:, None].expand_as(motion).flatten(0, 1)
        return {"orthogonality": self.weights.orthogonality * orthogonality(per_frame, motion.flatten(0, 1))}

    def _adversarial(self, drawn: Tensor) -> Tensor:
        return self.weights.adversarial * generator_gan(self.critic_net(drawn))
