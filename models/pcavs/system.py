"""PC-AVS as a `System`: all that hangs on the photo alone is computed at enrolment.

The style of a frame is [identity, mouth, pose], and a modulation is linear in it. So the identity's share of every
modulation is part of the identity, and a frame adds the share of mouth and pose: a quarter of the product.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from models.blocks.modulated import NoisePolicy
from models.blocks.pose import ANGLE_COLUMNS, ANGLES, PoseSource
from models.blocks.rows import IdentityRows, checksum
from models.pcavs.audio import MEL_BANDS, MEL_FRAMES
from models.pcavs.config import PUBLISHED, PcavsConfig
from models.pcavs.networks import AUDIO_GAIN, PcavsNetworks
from models.system import AudioFeatures, ControlBatch, IdentityState

IDENTITY_FORMAT: Final = 1
HOPS_PER_FRAME: Final = 4


@dataclass(slots=True)
class PcavsState:
    """What a batch of streams remembers.

    Attributes:
        heard: The last mel frames, oldest first, [B, 16, 80], float32; zeros are silence.
        pose: What the head follows.
    """

    heard: Tensor
    pose: PoseSource

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true, in place."""
        self.heard.masked_fill_(rows[:, None, None], 0.0)
        self.pose.reset(rows)


class Pcavs:
    """PC-AVS with given weights.

    Args:
        networks: The weights.
        noise: Of the generator: fixed maps by default, so that a still face stays still. The published demonstration
            draws it anew.
    """

    name: Final = "pcavs"
    front_end: Final = "lws_mel80"
    lookahead_ms: Final = (120,)
    controls: Final = frozenset(ANGLES)

    def __init__(self, networks: PcavsNetworks, noise: NoisePolicy = "fixed") -> None:
        self._networks = networks.eval().requires_grad_(False)
        self._networks.generator.channels_last()
        self._noise: NoisePolicy = noise
        self.frame_px = networks.config.frame_px
        self.identity_version = checksum(_enrolling(networks), IDENTITY_FORMAT)
        self._rows = IdentityRows(self.name, self.identity_version, ("start", "modulation"))
        layers = [layer for layer, _ in networks.generator.modulations()]
        self._widths = [len(layer.bias) for layer in layers]
        known = networks.config.identity
        self._motion_weight = torch.cat([layer.weight[:, known:] * layer.scale for layer in layers])
        with torch.no_grad():
            self._silence = networks.audio(torch.zeros(1, 1, MEL_BANDS, MEL_FRAMES))

    @classmethod
    def load(cls, path: Path, config: PcavsConfig = PUBLISHED, noise: NoisePolicy = "fixed") -> "Pcavs":
        """The system with weights that `PcavsNetworks` has saved as safetensors."""
        networks = PcavsNetworks(config)
        networks.load_state_dict(load_file(path))
        return cls(networks, noise)

    def enroll(self, photo: NDArray[np.uint8]) -> IdentityState:
        """Find the face, cut it as PC-AVS does, encode it. See `System.enroll`."""
        from models.blocks.vox_crop import vox_crop
        from models.visavis.enrol import find_face  # dlib: only enrolment needs it

        return self.bind(vox_crop(photo, find_face(photo), self.frame_px))

    @torch.no_grad()
    def bind(self, faces: Tensor) -> IdentityState:
        """An identity from one or several crops of a person, [references, 3, S, S], -1 to 1.

        Its pose is that of the crops: a clip of one frame.
        """
        vector, start = self._networks.identity(faces[None])
        shares = [
            layer.bias + (layer.weight[:, : vector.shape[1]] * layer.scale) @ vector[0]
            for layer, _ in self._networks.generator.modulations()
        ]
        # the trunk's features are averaged over references, as published, not the codes
        pose = self._networks.motion.pose(self._networks.motion.model(faces).mean(0, keepdim=True))
        tensors = {"start": start[0], "modulation": torch.cat(shares), "pose": pose}
        return IdentityState(self.name, self.identity_version, tensors)

    @torch.no_grad()
    def pose_codes(self, frames: Tensor) -> Tensor:
        """Pose codes [T, pose] of a driver's crops [T, 3, S, S], -1 to 1.

        All of them for `follow_clip`, or the newest for `PcavsState.pose.follow`.
        """
        return self._networks.motion(frames)[1]

    def init_state(self, batch: int) -> PcavsState:
        """A fresh memory for `batch` streams, as after silence."""
        heard = torch.zeros(batch, MEL_FRAMES - HOPS_PER_FRAME, MEL_BANDS)
        return PcavsState(heard, PoseSource.fresh(batch, self._networks.config.pose))

    @torch.no_grad()
    def step(
        self, identities: list[IdentityState], features: AudioFeatures, controls: ControlBatch, state: PcavsState
    ) -> Tensor:
        """Draw the next frame of each stream. See `System.step`.

        `features.values` are the four `lws_mel80` frames [B, 4, 80] of which the last ends 120 ms after the picture's.
        A lip gain below 1 moves the mouth feature towards that of silence. Head angles add to the pose followed.
        """
        known = self._rows.stack(identities)
        window = torch.cat([state.heard, features.values], 1)
        state.heard.copy_(window[:, HOPS_PER_FRAME:])
        heard = self._networks.audio(window.transpose(1, 2)[:, None])
        feature = AUDIO_GAIN * (self._silence + controls.lip_gain[:, None] * (heard - self._silence))
        pose = state.pose.next([identity.tensors["pose"] for identity in identities])
        pose = pose + self._networks.pose_map(controls.values[:, ANGLE_COLUMNS])
        motion = torch.cat([self._networks.motion.mouth_embed(feature), pose], 1)
        scales = known["modulation"] + motion @ self._motion_weight.t()
        noise = self._networks.generator.draw_noise(self._noise, len(identities))
        return self._networks.generator.synthesize(known["start"], scales.split(self._widths, 1), noise)


def _enrolling(networks: PcavsNetworks) -> list[Tensor]:
    """Every weight that `bind` uses."""
    modules = [networks.identity, networks.motion.model, networks.motion.to_headpose, networks.motion.headpose_embed]
    modules += [layer for layer, _ in networks.generator.modulations()]
    return [tensor for module in modules for tensor in module.state_dict().values()]
