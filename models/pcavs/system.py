"""PC-AVS as a `System`: all that hangs on the photo alone is computed at enrolment.

The style of a frame is [identity, mouth, pose], and a modulation is linear in it. So the identity's share of every
modulation is part of the identity, and a frame adds the share of mouth and pose: a quarter of the product.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.blocks.framed import placed, settle
from models.blocks.mel_listener import MelListener
from models.blocks.pose import ANGLE_COLUMNS, ANGLES, PoseSource
from models.blocks.rows import IdentityRows, checksum
from models.blocks.style_generator import ModulatedGenerator, NoisePolicy
from models.blocks.vox_crop import cut_vox_face
from models.engine import REFERENCE, Plan
from models.engine.networks import ready
from models.framing import Framing
from models.pcavs.audio import MEL_BANDS, MEL_FRAMES
from models.pcavs.networks import AUDIO_GAIN, PcavsNetworks
from models.system import AudioFeatures, ControlBatch, IdentityState

IDENTITY_FORMAT: Final = 1


@dataclass(slots=True)
class PcavsState:
    """What a batch of streams remembers.

    Attributes:
        pose: What the head follows.
    """

    pose: PoseSource

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true, in place."""
        self.pose.reset(rows)


class Pcavs:
    """PC-AVS with given weights.

    Args:
        networks: The weights.
        noise: Of the generator: fixed maps by default, so that a still face stays still. The published demonstration
            draws it anew.
        plan: How it runs, of `choose_published`.
    """

    name: Final = "pcavs"
    front_end: Final = "lws_mel80"
    lookahead_ms: Final = (120,)
    controls: Final = frozenset(ANGLES)

    def __init__(self, networks: PcavsNetworks, noise: NoisePolicy = "fixed", plan: Plan = REFERENCE) -> None:
        self._networks = networks.eval().requires_grad_(False)
        self._networks.generator.settle()
        self._noise: NoisePolicy = noise
        self.frame_px = networks.config.frame_px
        self.identity_version = checksum(_enrolling(networks), IDENTITY_FORMAT)
        with torch.no_grad():
            vector, maps = networks.identity(torch.zeros(1, 3, self.frame_px, self.frame_px))
            self._silence = networks.audio(torch.zeros(1, 1, MEL_BANDS, MEL_FRAMES))
        self._maps = ("start", *(f"carried_{level}" for level in range(len(maps) - 1)))
        self._rows = IdentityRows(self.name, self.identity_version, ("modulation", *self._maps))
        layers = [layer for layer, _ in networks.generator.modulations()]
        known = vector.shape[1]
        self._motion_weight = torch.cat([layer.weight[:, known:] * layer.scale for layer in layers])
        hears = MelListener(networks.audio), (torch.zeros(1, MEL_FRAMES, MEL_BANDS),)
        painter = _Painter(networks.generator)
        draws = painter, (torch.zeros(1, sum(painter.widths)), *maps, *networks.generator.noise_rows(noise, 1))
        self._hear, self._draw = ready(plan, self.name, hears, draws)

    def enroll(self, photo: NDArray[np.uint8], framing: Framing = "head") -> IdentityState:
        """Find the face, cut it as PC-AVS does, encode it. See `System.enroll`."""
        face, canvas = cut_vox_face(photo, self.frame_px, framing)
        return placed(self.bind(face), face, canvas)

    @torch.no_grad()
    def bind(self, faces: Tensor) -> IdentityState:
        """An identity from one or several crops of a person, [references, 3, S, S], -1 to 1.

        Its pose is that of the crops: a clip of one frame.
        """
        vector, maps = self._networks.identity(faces[None])
        shares = [
            layer.bias + (layer.weight[:, : vector.shape[1]] * layer.scale) @ vector[0]
            for layer, _ in self._networks.generator.modulations()
        ]
        # the trunk's features are averaged over references, as published, not the codes
        pose = self._networks.motion.pose(self._networks.motion.model(faces).mean(0, keepdim=True))
        tensors = {name: one[0] for name, one in zip(self._maps, maps, strict=True)}
        tensors |= {"modulation": torch.cat(shares), "pose": pose}
        return IdentityState(self.name, self.identity_version, tensors)

    @torch.no_grad()
    def pose_codes(self, frames: Tensor) -> Tensor:
        """Pose codes [T, pose] of a driver's crops [T, 3, S, S], -1 to 1.

        All of them for `follow_clip`, or the newest for `PcavsState.pose.follow`.
        """
        return self._networks.motion(frames)[1]

    def init_state(self, batch: int) -> PcavsState:
        """A fresh memory for `batch` streams, as after silence."""
        return PcavsState(PoseSource.fresh(batch, self._networks.config.pose))

    @torch.no_grad()
    def step(
        self, identities: list[IdentityState], features: AudioFeatures, controls: ControlBatch, state: PcavsState
    ) -> Tensor:
        """Draw the next frame of each stream. See `System.step`.

        `features.values` are the `lws_mel80` windows [B, 20, 80] of which the last mel frame ends 120 ms after the
        picture's. A lip gain below 1 moves the mouth feature towards that of silence. Head angles add to the pose
        followed.
        """
        known = self._rows.stack(identities)
        (heard,) = self._hear(features.values)
        feature = AUDIO_GAIN * (self._silence + controls.lip_gain[:, None] * (heard - self._silence))
        pose = state.pose.next([identity.tensors["pose"] for identity in identities])
        pose = pose + self._networks.pose_map(controls.values[:, ANGLE_COLUMNS])
        motion = torch.cat([self._networks.motion.mouth_embed(feature), pose], 1)
        scales = known["modulation"] + motion @ self._motion_weight.t()
        noise = self._networks.generator.noise_rows(self._noise, len(identities))
        (frames,) = self._draw(scales, *(known[name] for name in self._maps), *noise)
        return settle(frames, identities)


class _Painter(nn.Module):
    """Scales of all layers side by side, the identity's maps, and noise to pictures [B, 3, S, S], -1 to 1."""

    def __init__(self, generator: ModulatedGenerator) -> None:
        super().__init__()
        self.generator = generator
        self.widths = [len(layer.bias) for layer, _ in generator.modulations()]

    def forward(self, scales: Tensor, start: Tensor, *rest: Tensor) -> tuple[Tensor]:
        levels, scales_of = len(self.generator.to_flows), scales.split(self.widths, 1)
        return (self.generator.synthesize(start, scales_of, rest[levels:], rest[:levels]),)


def _enrolling(networks: PcavsNetworks) -> list[Tensor]:
    """Every weight that `bind` uses."""
    modules = [networks.identity, networks.motion.model, networks.motion.to_headpose, networks.motion.headpose_embed]
    modules += [layer for layer, _ in networks.generator.modulations()]
    return [tensor for module in modules for tensor in module.state_dict().values()]
