"""What PC-AVS minimises in each of its stages, and which networks each loss may move.

Stages: identity (`identity`), landmarks (`alignment`, ours), lips from the voice (`voice`, ours), the mouth space of
voice and video (`mouth_space`), how heads move (`pose_space`, ours), many faces (`faces`, ours), then the generator
with the pose space (`generator` against `critic`). systems.md, 2.5.
"""

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.face_likeness import FaceLikeness
from models.blocks.lip_motion import LIPS, Voice, correction, less_mean, lip_motion
from models.blocks.perceptual import PerceptualLoss, Vgg19
from models.pcavs.critic import MultiScaleCritic
from models.pcavs.losses import confusion, feature_matching, hinge_critic, hinge_generator, sync
from models.pcavs.networks import PcavsNetworks

_TURNED: Final = 5
PERCEPTUAL_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


@dataclass(frozen=True)
class LossWeights:
    """Option defaults of the released code; the paper's final values are unknown."""

    cross_modal: float = 1.0
    contrastive: float = 100.0
    adversarial: float = 1.0
    feature_matching: float = 10.0
    perceptual: float = 10.0
    lips: float = 100.0
    """Ours: see `PcavsObjective.mouth_space`."""
    mouth: float = 10.0
    """Ours. In a picture of 128 px an open mouth is a few rows, which the losses above hardly feel."""
    identity: float = 1.0
    pose_confusion: float = 0.0
    """1e6 when used; the code leaves it out by default and for clips of fewer than 20 frames."""


@dataclass(frozen=True)
class Batch:
    """B clips of T frames, each of one person.

    Attributes:
        photos: Reference photos, [B, 3, S, S], RGB, -1 to 1.
        frames: The clips, [B, T, 3, S, S].
        augmented: The clips after `models.pcavs.augment`, same shape.
        mel: `lws_mel80` windows of the frames, [B, T, 1, 80, 20].
        persons: Numbers of the persons, [B], int64.
        lips: What the rig says of jaw and mouth, [B, T, LIPS].
    """

    photos: Tensor
    frames: Tensor
    augmented: Tensor
    mel: Tensor
    persons: Tensor
    lips: Tensor


@dataclass(frozen=True)
class AlignmentBatch:
    """Frames without identity, and where their landmarks are.

    Attributes:
        frames: [B, 3, S, S], after `models.pcavs.augment`.
        maps: As of `landmark_maps`, [B, 68, S / 4, S / 4].
    """

    frames: Tensor
    maps: Tensor


@dataclass(frozen=True)
class TurnedBatch:
    """B clips of T frames, far apart.

    Attributes:
        frames: As they are, [B, T, 3, S, S].
        turned: Where heads are: yaw, pitch and roll in degrees, x and y in hundredths of S, [B, T, 5].
    """

    frames: Tensor
    turned: Tensor


class PcavsObjective(nn.Module):
    """Discriminator, training heads and weights around one `PcavsNetworks`.

    Args:
        networks: What is trained.
        persons: Number of persons in the data.
        clip_frames: T of the batches, for the head that reads a pose clip.
        vgg: `Vgg19.load(path)` as published, or the stand-in.
        weights: Of the losses.
    """

    def __init__(
        self,
        networks: PcavsNetworks,
        persons: int,
        clip_frames: int,
        vgg: nn.Module | None = None,
        weights: LossWeights | None = None,
    ) -> None:
        super().__init__()
        config = networks.config
        self.networks, self.weights = networks, weights or LossWeights()
        self.critic_net = MultiScaleCritic(config.critic_width)
        self._judged: tuple[Tensor, Tensor] | None = None
        self.person_head = nn.Linear(config.identity, persons)
        self.pose_head = nn.Linear(config.pose * clip_frames, persons)
        self.lips_head = nn.Linear(config.motion.features, len(LIPS))
        self.turned_head = nn.Linear(config.pose, _TURNED)
        judge = vgg or Vgg19.stand_in()
        self.perceptual = PerceptualLoss(judge, PERCEPTUAL_WEIGHTS, normalise=False)
        self.likeness = FaceLikeness(judge)

    def identity(self, batch: Batch) -> dict[str, Tensor]:
        """Stage 1: who is on the photo. Moves the identity encoder and `person_head`."""
        vector, _ = self.networks.identity(batch.photos)
        return {"identity": F.cross_entropy(self.person_head(vector), batch.persons)}

    def alignment(self, batch: AlignmentBatch) -> dict[str, Tensor]:
        """Stage 2, ours: where landmarks are, which the published trunk was trained for before. Moves the trunk.

        1 is a trunk that answers nothing, 0 one that is right.
        """
        maps = self.networks.motion.model.trunk(batch.frames)
        return {"alignment": F.mse_loss(maps, batch.maps) / batch.maps.square().mean()}

    def voice(self, batch: Voice) -> dict[str, Tensor]:
        """Stage 3, ours: a linear map has to tell from the voice how lips move. Moves that and the audio encoder."""
        told = self.lips_head(self.networks.audio(batch.mel.flatten(0, 1))).unflatten(0, batch.mel.shape[:2])
        return {"lips_heard": self.weights.lips * lip_motion(told, batch.lips)}

    def mouth_space(self, batch: Batch) -> dict[str, Tensor]:
        """Stage 4: voice and mouth. Moves the audio encoder, `to_mouth`, the head of the motion trunk and `lips_head`.

        Ours are `lips_heard` and `lips_seen`: from either feature one linear map has to tell how the lips move. With a
        few clips in a batch the contrastive losses alone stay at chance.

        Args:
            batch: At least two clips, so that each has a negative.
        """
        seen = self._mouth(batch)
        heard = self.networks.audio(batch.mel.flatten(0, 1))
        return self._lips(batch, seen, heard) | self._sync(batch, seen, heard, whole=False)

    def pose_space(self, batch: TurnedBatch) -> dict[str, Tensor]:
        """Stage 5, ours: a linear map has to tell from the pose code how heads move. Moves both, behind the trunk.

        Where heads turn by a degree or two, a pose code that learns from likeness alone tells one thing at most, and
        heads stay where the photo has them.
        """
        motion = self.networks.motion
        with torch.no_grad():
            features = motion.model(batch.frames.flatten(0, 1))
        told = self.turned_head(motion.pose(features)).unflatten(0, batch.frames.shape[:2])
        return {"turned": lip_motion(told, batch.turned)}

    def faces(self, batch: Batch) -> dict[str, Tensor]:
        """Stage 6, ours: many persons, without the discriminator. Moves all that draws, but trunk and pose code.

        The first half of the clips take the mouth from the video, the others from the voice, as it would be if it told
        all of how the lips move. The pose is that of frames as they are.
        """
        net, (clips, times) = self.networks, batch.frames.shape[:2]
        vector, maps = net.identity(batch.photos)
        with torch.no_grad():
            pose = net.motion(batch.frames.flatten(0, 1))[1]
        seen = self._mouth(batch)
        heard = net.audio(batch.mel.flatten(0, 1))
        told = heard + correction(heard.unflatten(0, (clips, times)), self.lips_head, batch.lips).flatten(0, 1)
        half = clips // 2 * times
        style = net.style(vector.repeat_interleave(times, 0), torch.cat([seen[:half], told[half:]]), pose)
        drawn = net.draw(style, [one.repeat_interleave(times, 0) for one in maps]).unflatten(0, (clips, times))
        return {
            "identity": self.weights.identity * F.cross_entropy(self.person_head(vector), batch.persons),
            **self.likeness(drawn, batch.frames),
            **self._lips(batch, seen, heard),
        }

    def generator(self, batch: Batch) -> dict[str, Tensor]:
        """Stage 7, the generator's turn: weighted losses. Moves all five networks but the pose map, and `person_head`.

        Each frame is drawn twice: with the mouth from the voice and with the mouth from the video.
        """
        w, real = self.weights, batch.frames.flatten(0, 1)
        drawn, (vector, seen, heard, pose) = self._draw(batch)
        self._judged = torch.cat(list(drawn.values())).detach(), pose.detach()
        losses = {
            "identity": w.identity * F.cross_entropy(self.person_head(vector), batch.persons),
            **self._sync(batch, seen, heard),
        }
        judged_real = self.critic_net(real)
        for name, fake in drawn.items():
            judged = self.critic_net(fake)
            losses[f"adversarial_{name}"] = w.adversarial * hinge_generator(judged)
            losses[f"feature_matching_{name}"] = w.feature_matching * feature_matching(judged_real, judged)
            losses[f"perceptual_{name}"] = w.perceptual * self.perceptual(fake, real)
            losses[f"mouth_{name}"] = w.mouth * self.likeness.mouth(fake, real)
        if w.pose_confusion:
            scores = F.linear(
                self._pose_clip(batch, pose), self.pose_head.weight.detach(), self.pose_head.bias.detach()
            )
            losses["pose_confusion"] = w.pose_confusion * confusion(scores)
        return losses

    def critic(self, batch: Batch) -> dict[str, Tensor]:
        """Stage 7, the discriminator's turn, on what the generator's drew last. Moves `critic_net` and `pose_head`."""
        assert self._judged is not None, "the generator's turn comes first"
        fake, pose = self._judged
        real = batch.frames.flatten(0, 1).repeat(2, 1, 1, 1)
        losses = {"critic": self.weights.adversarial * hinge_critic(self.critic_net(real), self.critic_net(fake))}
        if self.weights.pose_confusion:
            losses["pose_persons"] = F.cross_entropy(self.pose_head(self._pose_clip(batch, pose)), batch.persons)
        return losses

    def _mouth(self, batch: Batch) -> Tensor:
        """Mouth features of the frames without identity, [B * T, features]; moves all behind the trunk."""
        motion = self.networks.motion
        with torch.no_grad():
            maps = motion.model.trunk(batch.augmented.flatten(0, 1))
        return motion.to_mouth(motion.model.head(maps))

    def _draw(self, batch: Batch) -> tuple[dict[str, Tensor], tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Pictures [B * T, 3, S, S] by what drives the mouth, and identity, both mouth features and pose."""
        net, clip = self.networks, batch.frames.shape[1]
        vector, maps = net.identity(batch.photos)
        seen, pose = net.motion(batch.augmented.flatten(0, 1))
        heard = net.audio(batch.mel.flatten(0, 1))
        vectors, *maps = (one.repeat_interleave(clip, 0) for one in (vector, *maps))
        drawn = {
            name: net.draw(net.style(vectors, mouth, pose), maps) for name, mouth in (("voice", heard), ("video", seen))
        }
        return drawn, (vector, seen, heard, pose)

    def _lips(self, batch: Batch, seen: Tensor, heard: Tensor) -> dict[str, Tensor]:
        clips, features = batch.lips.shape[:2], {"lips_heard": heard, "lips_seen": seen}
        told = {name: self.lips_head(one).unflatten(0, clips) for name, one in features.items()}
        return {name: self.weights.lips * lip_motion(one, batch.lips) for name, one in told.items()}

    def _sync(self, batch: Batch, seen: Tensor, heard: Tensor, *, whole: bool = True) -> dict[str, Tensor]:
        """`losses.sync` of mouth features, as they are (`whole`) or less their clip's mean, which is ours.

        Both kinds of features are mostly a constant: whole, they left the contrastive losses at chance.
        """
        clips = [one.unflatten(0, batch.frames.shape[:2]) for one in (seen, heard)]
        terms = sync(*(clips if whole else map(less_mean, clips)))
        return {
            name: value * (self.weights.cross_modal if name == "cross_modal" else self.weights.contrastive)
            for name, value in terms.items()
        }

    def _pose_clip(self, batch: Batch, pose: Tensor) -> Tensor:
        return pose.unflatten(0, batch.frames.shape[:2]).flatten(1).relu()
