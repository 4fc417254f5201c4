"""TAVCE as a `System`: sound to expression, controls to pose and lids, both to key points, those to a frame."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models import rig
from models.blocks.framed import cut_face, placed, settle
from models.blocks.rows import IdentityRows, checksum
from models.blocks.wav2lip_audio import MEL_BANDS, MEL_FRAMES
from models.engine import REFERENCE, Plan
from models.engine.networks import ready
from models.framing import Framing
from models.system import FRAME_MS, AudioFeatures, ControlBatch, IdentityState
from models.tavce.config import AROUND, COEFFICIENTS, EXPRESSION, POSE, TavceConfig
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

_PAINTED: Final = ("still", "gated", "canonical", "source")
_BOUND: Final = (*_PAINTED, "rest", "pose")
"""The tensors of an identity."""
_WINDOW: Final = 2 * AROUND + 1
"""Frames that the mapping looks at."""
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
        said: The sound's share of the expressions of the last 27 frames heard, [B, 27, 64].
        sound: Features whose change gates, of the last 15, [B, 15, C].
        pose: Pose of the last 14 frames drawn relative to the photo's, [B, 14, 6].
        blink: How far the lids were shut in them, [B, 14].
        ahead: How many frames after the drawn one the newest heard lies, [B], int64.
        fresh: Streams that have heard nothing yet, [B], bool: their first frame fills the rings.
    """

    said: Tensor
    sound: Tensor
    pose: Tensor
    blink: Tensor
    ahead: Tensor
    fresh: Tensor

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true, in place."""
        self.fresh |= rows


class Tavce:
    """TAVCE with given weights, run as a plan of `choose_published` says.

    The mapping looks at 13 frames on each side. Of those after the drawn one, as many are real as a stream's
    look-ahead pays for, 40 ms each, and the rest repeat the newest, as the published code does at a clip's end. The
    look-ahead may differ from stream to stream and change at any frame. Pose and lids follow their controls at once:
    for them the future always repeats the present.
    """

    name: Final = "tavce"
    front_end: Final = "wav2lip_mel80"
    lookahead_ms: Final = tuple(WINDOW_AHEAD_MS + FRAME_MS * future for future in range(AROUND + 1))
    controls: Final = frozenset({"eyeBlinkLeft", "eyeBlinkRight", "headYaw", "headPitch", "headRoll"})

    def __init__(self, networks: TavceNetworks, coefficients: CoefficientReader, plan: Plan = REFERENCE) -> None:
        """Make the system.

        Args:
            networks: With their trained weights.
            coefficients: Reads the face model's coefficients off a photo; the published system uses SadTalker's net.
            plan: How it runs.
        """
        self._networks = networks.eval().requires_grad_(False)
        self._coefficients = coefficients
        self.frame_px = networks.config.image_px
        self.identity_version = checksum(_enrolling(networks), IDENTITY_FORMAT)
        self._rows = IdentityRows(self.name, self.identity_version, _BOUND)
        with torch.no_grad():
            self._silence = networks.expression.said(torch.full((1, 1, MEL_BANDS, MEL_FRAMES), SILENT_MEL))
        hears = _Listener(networks), (torch.zeros(1, MEL_FRAMES, MEL_BANDS),)
        self._hear, self._draw = ready(plan, self.name, hears, (_Painter(networks), _nobody(networks.config)))

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
        stance = networks.mapping(reference[..., None].expand(-1, -1, _WINDOW))
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
            said=torch.zeros(batch, _WINDOW, EXPRESSION),
            sound=torch.zeros(batch, AROUND + 2, config.correlation),
            pose=torch.zeros(batch, AROUND + 1, POSE),
            blink=torch.zeros(batch, AROUND + 1),
            ahead=torch.zeros(batch, dtype=torch.int64),
            fresh=torch.ones(batch, dtype=torch.bool),
        )

    @torch.no_grad()
    def step(
        self, identities: list[IdentityState], features: AudioFeatures, controls: ControlBatch, state: TavceState
    ) -> Tensor:
        """Draw the next frame of each stream. See `System.step`.

        `features.values` is the `wav2lip_mel80` window of the newest frame that the look-ahead completes, [B, 16, 80]:
        windows overlap unevenly, 3.2 hops a frame, so each comes whole. A lip gain below 1 moves the sound's share of
        the expression towards that of silence.
        """
        who = self._rows.stack(identities)
        self._take(features, controls, state)
        expression = who["rest"][:, None] + _around(state.said, state.ahead, range(-AROUND, AROUND + 1))
        expression = expression + self._networks.expression.blinked(_held(state.blink))
        coefficients = torch.cat([expression, who["pose"][:, None] + _held(state.pose)], 2)
        change = gate(*_around(state.sound, state.ahead, range(-1, 1)).unbind(1))
        (frames,) = self._draw(coefficients, change, *(who[name] for name in _PAINTED))
        return settle(2 * frames - 1, identities)

    def _take(self, features: AudioFeatures, controls: ControlBatch, state: TavceState) -> None:
        """Move the rings on to the next frame.

        A longer look-ahead passes over frames whose windows never come: they are taken to lie on the way. The frames
        that a shorter one completes at once the stream does not draw, so that the newest is the next one heard.
        """
        ahead = ((features.lookahead_ms - WINDOW_AHEAD_MS) / FRAME_MS).round().long().clamp(0, AROUND)
        steps = 1 + (ahead - state.ahead).clamp(min=0)
        said, sound = self._hear(features.values)
        said = self._silence + controls.lip_gain[:, None] * (said - self._silence)
        turned = F.pad(controls.values[:, _ANGLES] * _TURNS, (0, POSE - len(_ANGLES)))
        blink = controls.values[:, _LIDS].mean(1).clamp(0, 1)
        for ring, new in ((state.said, said), (state.sound, sound)):
            _move(ring, new, steps, state.fresh)
        for ring, new in ((state.pose, turned), (state.blink[..., None], blink[:, None])):
            _move(ring, new, torch.ones_like(steps), state.fresh)
        state.ahead.copy_(ahead)
        state.fresh.zero_()


class _Listener(nn.Module):
    """`wav2lip_mel80` windows [B, 16, 80] to what they say, [B, 64], and the features whose change gates, [B, C]."""

    def __init__(self, networks: TavceNetworks) -> None:
        super().__init__()
        self.expression, self.sound = networks.expression, networks.sound

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        windows = windows.transpose(1, 2)[:, None]
        return self.expression.said(windows), self.sound(windows)


class _Painter(nn.Module):
    """Coefficients of 27 frames [B, 27, 70], the gate and an identity's `_PAINTED` to frames [B, 3, S, S], 0 to 1."""

    def __init__(self, networks: TavceNetworks) -> None:
        super().__init__()
        self.mapping, self.generator = networks.mapping, networks.generator

    def forward(
        self, coefficients: Tensor, change: Tensor, still: Tensor, gated: Tensor, canonical: Tensor, source: Tensor
    ) -> tuple[Tensor]:
        driving = place(canonical, self.mapping(coefficients.transpose(1, 2)))
        return (self.generator.render(Encoded(still, gated), change, driving, source),)


def _nobody(config: TavceConfig) -> tuple[Tensor, ...]:
    """Arguments of `_Painter`, one row of each."""
    side, points = config.image_px // 4, (1, config.keypoints, 3)
    maps = (torch.zeros(1, channels, side, side) for channels in (config.features, config.correlation))
    before = torch.zeros(1, _WINDOW, COEFFICIENTS), torch.zeros(1, config.correlation)
    return *before, *maps, torch.zeros(points), torch.zeros(points)


def _move(ring: Tensor, new: Tensor, steps: Tensor, fresh: Tensor) -> None:
    """Move rings [B, T, N] on in place by `steps` [B] frames, the last of which is `new` [B, N].

    The frames between lie on the straight way to it. A fresh ring is filled with it.
    """
    newest = ring.shape[1] - 1
    at = torch.arange(ring.shape[1]) + steps[:, None]
    old = ring.gather(1, at.clamp(max=newest)[..., None].expand_as(ring))
    share = ((at - newest) / steps[:, None]).clamp(min=0).masked_fill(fresh[:, None], 1.0)
    ring.copy_(torch.lerp(old, new[:, None].expand_as(old), share[..., None]))


def _around(ring: Tensor, ahead: Tensor, frames: range) -> Tensor:
    """The ring's entries [B, T, N] of frames about the drawn one, [B, frames, N]; the newest stands for later ones."""
    newest = ring.shape[1] - 1
    at = (newest + torch.tensor(frames) - ahead[:, None]).clamp(max=newest)
    return ring.gather(1, at[..., None].expand(-1, -1, ring.shape[2]))


def _held(ring: Tensor) -> Tensor:
    """The 27 frames about the drawn one: a ring [B, 14, ...], then its newest again and again."""
    return torch.cat([ring, ring[:, -1:].expand(-1, AROUND, *ring.shape[2:])], 1)


def _enrolling(networks: TavceNetworks) -> list[Tensor]:
    """Every weight that `bind` uses."""
    parts = (networks.detector, networks.mapping, networks.generator, networks.expression)
    return [tensor for part in parts for tensor in part.state_dict().values()]
