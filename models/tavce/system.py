"""TAVCE as a `System`: sound to expression, controls to pose and lids, both to key points, those to a frame."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models import rig
from models.blocks.framed import cut_face, placed, settle
from models.blocks.rows import IdentityRows, checksum
from models.blocks.wav2lip_audio import MEL_BANDS, MEL_FRAMES
from models.framing import Framing
from models.system import FRAME_MS, AudioFeatures, ControlBatch, IdentityState
from models.tavce.config import AROUND, EXPRESSION, POSE
from models.tavce.correlation import gate
from models.tavce.generator import Encoded
from models.tavce.keypoints import place
from models.tavce.networks import TavceNetworks

IDENTITY_FORMAT: Final = 1
SILENT_MEL: Final = -4.0
"""What `wav2lip_mel80` gives at and below its floor."""
WINDOW_AHEAD_MS: Final = 133
"""How far one frame's window reaches beyond it, 132.5 ms rounded up."""

CoefficientReader = Callable[[Tensor], Tensor]
"""A face in TAVCE's crop, [1, 3, S, S], 0 to 1, to its coefficients, [1, 70]."""

_BOUND: Final = ("still", "gated", "canonical", "source", "rest", "pose")
"""The tensors of an identity."""
_LIDS: Final = rig.columns(("eyeBlinkLeft", "eyeBlinkRight"))
_ANGLES: Final = rig.columns(("headPitch", "headYaw", "headRoll"))
_TURNS: Final = torch.tensor([-1.0, 1.0, -1.0]) * (torch.pi / 180)
"""The rig's angles to the face model's: radians, right-handed about x right, y up, z to the viewer. Inferred from the
model's axes; the published weights have not been asked."""
_CORNERS: Final = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


@dataclass(slots=True)
class TavceState:
    """What a batch of streams remembers: rings, oldest first.

    Attributes:
        said: The sound's share of the expressions of 13 frames before the drawn one to the newest, [B, 14 + k, 64].
        sound: Features whose change gates, of the frame before the drawn one to the newest, [B, 2 + k, C].
        pose: Pose of the last 14 frames relative to the photo's, [B, 14, 6].
        blink: How far the lids were shut in them, [B, 14].
        fresh: Streams that have heard nothing yet, [B], bool: their first frame fills the rings.
    """

    said: Tensor
    sound: Tensor
    pose: Tensor
    blink: Tensor
    fresh: Tensor

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true, in place."""
        self.fresh |= rows


class Tavce:
    """TAVCE with given weights, hearing `future` frames ahead.

    The mapping looks at 13 frames on each side. Of those after the drawn one, `future` are real and the rest repeat the
    newest, as the published code does at a clip's end; each real one costs 40 ms of look-ahead. Pose and lids follow
    their controls at once: for them the future always repeats the present.
    """

    name: Final = "tavce"
    front_end: Final = "wav2lip_mel80"
    controls: Final = frozenset({"eyeBlinkLeft", "eyeBlinkRight", "headYaw", "headPitch", "headRoll"})

    def __init__(self, networks: TavceNetworks, coefficients: CoefficientReader, *, future: int = 0) -> None:
        """Make the system.

        Args:
            networks: With their trained weights.
            coefficients: Reads the face model's coefficients off a photo; the published system uses SadTalker's net.
            future: Real future frames, 0 to 13.

        Raises:
            ValueError: If `future` is out of range.
        """
        if not 0 <= future <= AROUND:
            raise ValueError(f"got {future} future frames, want 0 to {AROUND}")
        self._networks = networks.eval().requires_grad_(False)
        self._coefficients, self._future = coefficients, future
        self.lookahead_ms = (WINDOW_AHEAD_MS + FRAME_MS * future,)
        self.frame_px = networks.config.image_px
        self.identity_version = checksum(_enrolling(networks), IDENTITY_FORMAT)
        self._rows = IdentityRows(self.name, self.identity_version, _BOUND)
        with torch.no_grad():
            self._silence = networks.expression.said(torch.full((1, 1, MEL_BANDS, MEL_FRAMES), SILENT_MEL))

    def enroll(self, photo: NDArray[np.uint8], framing: Framing = "head") -> IdentityState:
        """Find the face, cut it out, encode it. See `System.enroll`."""
        from models.tavce.rig_reader import face_square
        from models.visavis.enrol import find_face  # dlib: only enrolment needs it

        square = face_square(find_face(photo)[None])
        corners = square.to_photo(_CORNERS)
        face, canvas = cut_face(photo, corners, _CORNERS, self.frame_px, framing)
        return placed(self.bind((face + 1) / 2), face, canvas)

    @torch.no_grad()
    def bind(self, face: Tensor) -> IdentityState:
        """An identity from a face in TAVCE's crop, [1, 3, S, S], 0 to 1."""
        networks, reference = self._networks, self._coefficients(face)
        canonical = networks.detector(face)
        stance = networks.mapping(reference[..., None].expand(-1, -1, 2 * AROUND + 1))
        encoded = networks.generator.encode(face)
        tensors = {
            "still": encoded.still,
            "gated": encoded.gated,
            "canonical": canonical,
            "source": place(canonical, stance),
            "rest": networks.expression.rest(reference[:, :EXPRESSION]),
            "pose": reference[:, EXPRESSION:],
        }
        return IdentityState(self.name, self.identity_version, {name: t[0].clone() for name, t in tensors.items()})

    def init_state(self, batch: int) -> TavceState:
        """A fresh memory for `batch` streams."""
        config = self._networks.config
        return TavceState(
            said=torch.zeros(batch, AROUND + 1 + self._future, EXPRESSION),
            sound=torch.zeros(batch, 2 + self._future, config.correlation),
            pose=torch.zeros(batch, AROUND + 1, POSE),
            blink=torch.zeros(batch, AROUND + 1),
            fresh=torch.ones(batch, dtype=torch.bool),
        )

    @torch.no_grad()
    def step(
        self, identities: list[IdentityState], features: AudioFeatures, controls: ControlBatch, state: TavceState
    ) -> Tensor:
        """Draw the next frame of each stream. See `System.step`.

        `features.values` is the `wav2lip_mel80` window of the frame that lies `future` after the drawn one,
        [B, 16, 80]: windows overlap unevenly, 3.2 hops a frame, so each comes whole. A lip gain below 1 moves the
        sound's share of the expression towards that of silence.
        """
        networks, who = self._networks, self._rows.stack(identities)
        self._hear(features.values.transpose(1, 2)[:, None], controls, state)
        expression = who["rest"][:, None] + _hold(state.said) + networks.expression.blinked(_hold(state.blink))
        pose = who["pose"][:, None] + _hold(state.pose)
        stance = networks.mapping(torch.cat([expression, pose], 2).transpose(1, 2))
        frames = networks.generator.render(
            Encoded(who["still"], who["gated"]),
            gate(state.sound[:, 0], state.sound[:, 1]),
            place(who["canonical"], stance),
            who["source"],
        )
        return settle(2 * frames - 1, identities)

    def _hear(self, windows: Tensor, controls: ControlBatch, state: TavceState) -> None:
        """Move the rings on by one frame."""
        said = self._networks.expression.said(windows)
        said = self._silence + controls.lip_gain[:, None] * (said - self._silence)
        turned = F.pad(controls.values[:, _ANGLES] * _TURNS, (0, POSE - len(_ANGLES)))
        blink = controls.values[:, _LIDS].mean(1).clamp(0, 1)
        news = ((state.said, said), (state.sound, self._networks.sound(windows)))
        for ring, new in (*news, (state.pose, turned), (state.blink, blink)):
            moved = torch.cat([ring[:, 1:], new[:, None]], 1)
            filled = new[:, None].expand_as(ring)
            fresh = state.fresh.view(-1, *(1,) * (ring.dim() - 1))
            ring.copy_(torch.where(fresh, filled, moved))
        state.fresh.zero_()


def _hold(ring: Tensor) -> Tensor:
    """The 27 frames around the drawn one: the ring [B, 14 to 27, ...], then its newest again and again."""
    lacking = 2 * AROUND + 1 - ring.shape[1]
    return torch.cat([ring, ring[:, -1:].expand(-1, lacking, *ring.shape[2:])], 1)


def _enrolling(networks: TavceNetworks) -> list[Tensor]:
    """Every weight that `bind` uses."""
    parts = (networks.detector, networks.mapping, networks.generator, networks.expression)
    return [tensor for part in parts for tensor in part.state_dict().values()]
