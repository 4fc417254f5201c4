"""FC-TFG as a `System`.

The canonical latents, what is carried over from the photo, and the driver's half of the motion mapping are computed at
enrolment.
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
from models.blocks.wav2lip_audio import MEL_BANDS, MEL_FRAMES
from models.engine import REFERENCE, Plan
from models.engine.networks import ready
from models.fctfg.latents import FusionState
from models.fctfg.networks import FctfgNetworks
from models.framing import Framing
from models.system import AudioFeatures, ControlBatch, IdentityState

IDENTITY_FORMAT: Final = 1
SILENT_MEL: Final = -4.0
"""The floor of `wav2lip_mel80`."""


@dataclass(slots=True)
class FctfgState:
    """What a batch of streams remembers.

    Attributes:
        fusion: The last latents.
        pose: What head and eyes follow.
    """

    fusion: FusionState
    pose: PoseSource

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true, in place."""
        self.fusion.reset(rows)
        self.pose.reset(rows)


class Fctfg:
    """FC-TFG with given weights.

    Args:
        networks: The weights.
        noise: Of the generator: fixed maps by default, so that a still face stays still.
        plan: How it runs, of `choose_published`.
    """

    name: Final = "fctfg"
    front_end: Final = "wav2lip_mel80"
    lookahead_ms: Final = (133,)
    """Window end and half an STFT window: 132.5 ms, rounded up."""
    controls: Final = frozenset(ANGLES)

    def __init__(self, networks: FctfgNetworks, noise: NoisePolicy = "fixed", plan: Plan = REFERENCE) -> None:
        self._networks = networks.eval().requires_grad_(False)
        self._networks.generator.settle()
        self._noise: NoisePolicy = noise
        self.frame_px = networks.config.frame_px
        made_of = [networks.visual, networks.carrier, networks.canonical, networks.motion.driver]
        weights = [tensor for module in made_of for tensor in module.state_dict().values()]
        self.identity_version = checksum(weights, IDENTITY_FORMAT)
        carried = networks.look(torch.zeros(1, 3, self.frame_px, self.frame_px))[1]
        self._carried = tuple(f"carried_{level}" for level in range(len(carried)))
        self._rows = IdentityRows(self.name, self.identity_version, ("canonical", *self._carried))
        with torch.no_grad():
            self._silence = networks.audio(torch.full((1, 1, MEL_BANDS, MEL_FRAMES), SILENT_MEL))
        hears = MelListener(networks.audio), (torch.zeros(1, MEL_FRAMES, MEL_BANDS),)
        latents = torch.zeros(1, networks.config.latents, networks.config.code)
        draws = _Painter(networks.generator), (latents, *carried, *networks.generator.noise_rows(noise, 1))
        self._hear, self._draw = ready(plan, self.name, hears, draws)

    def enroll(self, photo: NDArray[np.uint8], framing: Framing = "head") -> IdentityState:
        """Find the face, cut it as VoxCeleb's are, encode it. See `System.enroll`."""
        face, canvas = cut_vox_face(photo, self.frame_px, framing)
        return placed(self.bind(face), face, canvas)

    @torch.no_grad()
    def bind(self, face: Tensor) -> IdentityState:
        """An identity from a crop [1, 3, S, S], -1 to 1. It is its own driver: a clip of one frame."""
        canonical, carried = self._networks.look(face)
        tensors = {name: features[0] for name, features in zip(self._carried, carried, strict=True)}
        tensors |= {"canonical": canonical[0], "pose": self.pose_codes(face)}
        return IdentityState(self.name, self.identity_version, tensors)

    @torch.no_grad()
    def pose_codes(self, frames: Tensor) -> Tensor:
        """A driver's half of the motion mapping, [T, latents * code], from its crops [T, 3, S, S], -1 to 1.

        All of them for `follow_clip`, or the newest for `FctfgState.pose.follow`.
        """
        return self._networks.pose_codes(frames)

    def init_state(self, batch: int) -> FctfgState:
        """A fresh memory for `batch` streams."""
        config = self._networks.config
        pose = PoseSource.fresh(batch, config.latents * config.code)
        return FctfgState(self._networks.fusion.init_state(batch), pose)

    @torch.no_grad()
    def step(
        self, identities: list[IdentityState], features: AudioFeatures, controls: ControlBatch, state: FctfgState
    ) -> Tensor:
        """Draw the next frame of each stream. See `System.step`.

        `features.values` are the whole `wav2lip_mel80` window of each frame [B, 16, 80], frames of 12.5 ms, of which 3
        or 4 are new: 40 ms are no whole number of them. A lip gain below 1 moves the voice towards silence. Head
        angles add to the pose followed.
        """
        net = self._networks
        known = self._rows.stack(identities)
        (heard,) = self._hear(features.values)
        voice = self._silence + controls.lip_gain[:, None] * (heard - self._silence)
        watched = state.pose.next([identity.tensors["pose"] for identity in identities])
        watched = watched + net.pose_map(controls.values[:, ANGLE_COLUMNS])
        motion = net.motion.move(watched.view_as(known["canonical"]) + net.motion.listen(voice))
        latents = net.fusion.step(known["canonical"] + motion, state.fusion)
        carried = (known[name] for name in self._carried)
        (frames,) = self._draw(latents, *carried, *net.generator.noise_rows(self._noise, len(identities)))
        return settle(frames, identities)


class _Painter(nn.Module):
    """Latents [B, latents, code], what is carried over, and noise to pictures [B, 3, S, S], -1 to 1."""

    def __init__(self, generator: ModulatedGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, latents: Tensor, *rest: Tensor) -> tuple[Tensor]:
        start, levels = self.generator.start(len(latents)), len(self.generator.to_flows)
        scales = self.generator.modulate(latents)
        return (self.generator.synthesize(start, scales, rest[levels:], rest[:levels]).clamp(-1.0, 1.0),)
