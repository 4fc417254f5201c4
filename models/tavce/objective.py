"""What TAVCE minimises in each of its stages, and which networks each loss may move.

Stages: `correlation` of sound and mouths, the coefficient nets (`expression`; `pose` against `pose_critic`), how faces
move (`motion`, ours), and the renderer (`generator` against `critic`). systems.md, 5.5. Of the published losses the
lip-reading expert's is left out: nothing of ours can stand in for it. Landmarks are those of the house model's rig, in
mm.
"""

from dataclasses import dataclass
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import rig
from models.blocks.hinge import feature_matching, hinge_critic, hinge_generator
from models.blocks.perceptual import PerceptualLoss, Vgg19
from models.tavce import losses
from models.tavce.coefficients import PoseCritic
from models.tavce.config import AROUND, EXPRESSION
from models.tavce.correlation import MouthEncoder, crop_mouths, gate
from models.tavce.critic import FrameCritic
from models.tavce.generator import Moved
from models.tavce.keypoints import Stance, place
from models.tavce.networks import TavceNetworks
from models.tavce.redraw import Redrawer
from models.visavis.ict import Rig
from models.visavis.landmarks import INNER_LIPS, OUTER_LIPS

EXPRESSION_WEIGHTS: Final = {"expression": 2.0, "landmarks": 0.01, "blink": 4.0}
LIPS: Final = [*OUTER_LIPS, *INNER_LIPS]
LIDS: Final = rig.columns(("eyeBlinkLeft", "eyeBlinkRight"))
_MM_PER_CM: Final = 10.0


@dataclass(frozen=True)
class CorrelationBatch:
    """Mouths of frames i, i + 1 and one at least three frames from i, and the sound of the first two.

    Attributes:
        mouths: [B, 3, 3, 112, 112], -1 to 1.
        windows: `wav2lip_mel80`, [B, 2, 1, 80, 16].
    """

    mouths: Tensor
    windows: Tensor


@dataclass(frozen=True)
class CoefficientBatch:
    """Stretches of 32 frames.

    Attributes:
        windows: `wav2lip_mel80`, [B, 32, 80, 16].
        coefficients: True ones, [B, 32, 70].
        reference: Those of any frame of the clip, [B, 70].
        style: Whose manner, [B], int64.
    """

    windows: Tensor
    coefficients: Tensor
    reference: Tensor
    style: Tensor


@dataclass(frozen=True)
class RenderBatch:
    """A photo of each person, and two frames in a row of which the second is drawn.

    Attributes:
        source: [B, 3, S, S], 0 to 1.
        last, target: [B, 3, S, S].
        source_coefficients: [B, 70].
        around: Coefficients of the 27 frames around the target, [B, 70, 27].
        windows: `wav2lip_mel80` of the last frame and the target, [B, 2, 1, 80, 16].
        centres_px: Middles of both mouths, [B, 2, 2].
        meshes: Mesh points of the photo and of the target, x, y, [B, 2, 478, 2]; the pictures' edges are 0 and 1.
    """

    source: Tensor
    last: Tensor
    target: Tensor
    source_coefficients: Tensor
    around: Tensor
    windows: Tensor
    centres_px: Tensor
    meshes: Tensor


@dataclass(frozen=True)
class Motion:
    """How the photos of a `RenderBatch` become its targets.

    Attributes:
        moved: What the frames are painted of.
        source, driving: Key points of the photo and of the target, [B, K, 3], -1 to 1.
        stances: Of the photo and of the target.
    """

    moved: Moved
    source: Tensor
    driving: Tensor
    stances: tuple[Stance, Stance]


class TavceObjective(nn.Module):
    """Critics, the correlation's encoders and the judge around one `TavceNetworks`.

    Args:
        networks: What is trained.
        vgg: `Vgg19.load(path)` as published, or the stand-in. LPIPS is this network's distance too.
        form: Of the correlation's loss: as in the published code, or the paper's triplet.
    """

    landmarks: Tensor

    def __init__(
        self, networks: TavceNetworks, vgg: nn.Module | None = None, form: Literal["published", "triplet"] = "published"
    ) -> None:
        super().__init__()
        config = networks.config
        self.networks = networks
        self._form = losses.correlation if form == "published" else losses.triplet
        self.mouths = MouthEncoder(config)
        self.redrawers = nn.ModuleList(Redrawer(config) for _ in range(2))
        self._judged: Tensor | None = None
        self.pose_critic = PoseCritic()
        self.critic_net = FrameCritic(config.stem, 8 * config.stem)
        judge = vgg or Vgg19.stand_in()
        self.perceptual = PerceptualLoss(judge, (1.0,) * 5, sizes=(0, 1, 2, 3), normalise=True)
        self.likeness = PerceptualLoss(judge, (1.0,) * 5, normalise=True)
        model = Rig.load()
        self.register_buffer("landmarks", _MM_PER_CM * model.expression[:, model.landmarks68].flatten(1))

    def correlation(self, batch: CorrelationBatch) -> dict[str, Tensor]:
        """First stage. Moves sound and mouth encoder and the nets that redraw mouths."""
        before, now = (self.networks.sound(windows) for windows in batch.windows.unbind(1))
        first, near, far = self.mouths(batch.mouths.flatten(0, 1)).unflatten(0, batch.mouths.shape[:2]).unbind(1)
        change, (one, other, _) = gate(before, now), batch.mouths.unbind(1)
        forth, back = self.redrawers
        return {
            "correlation": self._form(now - before, near - first, far - first),
            "forth": self.likeness(forth(one, change), other),
            "back": self.likeness(back(other, change), one),
        }

    def expression(self, batch: CoefficientBatch) -> dict[str, Tensor]:
        """Second stage: sound to expression. Moves the expression net."""
        want = batch.coefficients[..., :EXPRESSION].flatten(0, 1)
        reference = batch.reference[:, None, :EXPRESSION].expand_as(batch.coefficients[..., :EXPRESSION]).flatten(0, 1)
        shut = (want[:, LIDS] - reference[:, LIDS]).mean(1).clamp(0, 1)
        got = self.networks.expression(batch.windows.flatten(0, 1)[:, None], reference, shut)
        off, w = got - want, EXPRESSION_WEIGHTS
        moved = off[:, : len(self.landmarks)] @ self.landmarks
        return {
            "expression": w["expression"] * off.square().mean(),
            "landmarks": w["landmarks"] * moved.square().mean(),
            "blink": w["blink"] * off[:, LIDS].square().mean(),
        }

    def pose(self, batch: CoefficientBatch) -> dict[str, Tensor]:
        """Second stage: sound to pose. Moves the pose net."""
        poses, net, w = batch.coefficients[..., EXPRESSION:], self.networks.pose, losses.POSE_WEIGHTS
        reference, heard = poses[:, 0], net.hear(batch.windows)
        spread = net.encoder(poses - reference[:, None], reference, heard, batch.style)
        got = net.decoder(spread.sample(), reference, heard, batch.style)
        return {
            "regression": w["regression"] * F.mse_loss(got, poses - reference[:, None]),
            "gan": w["gan"] * hinge_generator(self.pose_critic(got)),
            "kl": w["kl"] * losses.kl_divergence(spread),
        }

    def judge_poses(self, batch: CoefficientBatch) -> dict[str, Tensor]:
        """Second stage, the critic's turn. Moves `pose_critic` alone."""
        poses, net = batch.coefficients[..., EXPRESSION:], self.networks.pose
        motion = poses - poses[:, :1]
        with torch.no_grad():
            heard = net.hear(batch.windows)
            code = torch.randn(len(poses), net.decoder.latent, device=poses.device)
            fake = net.decoder(code, poses[:, 0], heard, batch.style)
        return {"critic": hinge_critic(self.pose_critic(motion), self.pose_critic(fake))}

    def motion(self, batch: RenderBatch) -> dict[str, Tensor]:
        """Third stage, ours: how faces move. Moves key points, mapping and the renderer up to its dense motion."""
        return self._motion_terms(self._move(batch, self.networks), batch)

    def generator(self, batch: RenderBatch) -> dict[str, Tensor]:
        """Last stage, the generator's turn. Moves key points, mapping and renderer."""
        motion = self._move(batch, self.networks)
        drawn = self.networks.generator.paint(motion.moved)
        self._judged = drawn.detach()
        real, (judged, scores) = self.critic_net(batch.target)[0], self.critic_net(drawn)
        with torch.no_grad():
            sound = self._sound_change(batch)
        mouths = losses.mouth_pair(batch.last, drawn, *batch.centres_px.unbind(1))
        wanted = crop_mouths(batch.target, batch.centres_px[:, 1])
        last_mouth, drawn_mouth = (self.mouths(mouth) for mouth in mouths)
        terms = {
            "gan": hinge_generator(scores),
            "features": feature_matching(real, judged),
            "perceptual": self.perceptual(2 * drawn - 1, 2 * batch.target - 1),
            "l1": F.l1_loss(drawn, batch.target),
            "correlation": losses.correlation_on_frames(sound, last_mouth, drawn_mouth),
            "mouth": F.l1_loss(mouths[1], wanted),
            "mouth_perceptual": self.likeness(mouths[1], wanted),
        }
        weighted = {name: losses.WEIGHTS[name] * value for name, value in terms.items()}
        return weighted | self._motion_terms(motion, batch)

    def critic(self, batch: RenderBatch) -> dict[str, Tensor]:
        """Last stage, the critic's turn, on what the generator's drew last. Moves `critic_net` alone."""
        assert self._judged is not None, "the generator's turn comes first"
        return {"critic": hinge_critic(self.critic_net(batch.target)[1], self.critic_net(self._judged)[1])}

    def draw(self, batch: RenderBatch, networks: TavceNetworks) -> Tensor:
        """The target drawn from the source by some networks, [B, 3, S, S], 0 to 1. The target is not looked at."""
        return networks.generator.paint(self._move(batch, networks).moved)

    def _move(self, batch: RenderBatch, net: TavceNetworks) -> Motion:
        canonical = net.detector(batch.source)
        own = net.mapping(batch.source_coefficients[..., None].expand(-1, -1, 2 * AROUND + 1))
        stance = net.mapping(batch.around)
        with torch.no_grad():
            change = gate(*(net.sound(windows) for windows in batch.windows.unbind(1)))
        source, driving = place(canonical, own), place(canonical, stance)
        moved = net.generator.move(net.generator.encode(batch.source), change, driving, source)
        return Motion(moved, source, driving, (own, stance))

    def _motion_terms(self, motion: Motion, batch: RenderBatch) -> dict[str, Tensor]:
        sizes = [losses.expression_size(stance.expression) for stance in motion.stances]
        terms = {
            "expression": torch.stack(sizes).mean(),
            "points": losses.told_points(motion.source, motion.driving, batch.meshes),
            "motion": losses.told_motion(motion.moved.back, batch.meshes),
            "lip_motion": losses.told_motion(motion.moved.back, batch.meshes[:, :, LIPS]),
        }
        return {name: losses.WEIGHTS[name] * value for name, value in terms.items()}

    def _sound_change(self, batch: RenderBatch) -> Tensor:
        before, now = (self.networks.sound(windows) for windows in batch.windows.unbind(1))
        return now - before
