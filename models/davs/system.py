"""DAVS as a `System`: a photo to the decoder's share of it, sound to a word code, both to a frame. It has no pose."""

from copy import deepcopy
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.blocks.framed import cut_face, placed, settle
from models.blocks.rows import IdentityRows, checksum
from models.davs.adapt import STEPS, adapt
from models.davs.audio import AudioEncoder
from models.davs.config import CEPSTRA, WINDOW_HOPS, DavsConfig
from models.davs.decoder import Decoder, Painted
from models.davs.identity import IdentityEncoder
from models.davs.networks import DavsNetworks
from models.engine import REFERENCE, Plan
from models.engine.networks import ready
from models.framing import Framing
from models.system import AudioFeatures, ControlBatch, IdentityState

GAIN: Final = 1.5
"""What the published test multiplies a word code from sound by; one from lips takes 0.8."""
IDENTITY_FORMAT: Final = 2

_TEMPLATE: Final = np.array([[140.0, 224.0], [220.0, 224.0], [180.0, 300.0]])
"""Eyes and mouth on the published canvas of 356 x 436 px."""
_IRISES: Final = (468, 473)
_MOUTH_CORNERS: Final = (61, 291)
_PAINTED: Final = ("seed", "joined")
_WEIGHTS: Final = "decoder."


class DavsState:
    """Nothing: the window of a frame comes whole."""

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true."""


class Davs:
    """DAVS with given weights, run as a plan of `choose_published` says."""

    name: Final = "davs"
    front_end: Final = "mfcc12"
    lookahead_ms: Final = (135,)
    controls: Final = frozenset[str]()

    def __init__(self, networks: DavsNetworks, plan: Plan = REFERENCE) -> None:
        self._networks = networks.eval().requires_grad_(False)
        speaker = _Speaker(deepcopy(networks.decoder).fuse())
        self._speaker = speaker.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - torch's stub
        self.frame_px = networks.config.image_px
        self.identity_version = checksum(_enrolling(networks), IDENTITY_FORMAT)
        self._rows = IdentityRows(self.name, self.identity_version, _PAINTED)
        with torch.no_grad():
            self._silence = networks.audio(torch.zeros(1, 1, WINDOW_HOPS, CEPSTRA))
        hears = _Listener(networks.audio), (torch.zeros(1, WINDOW_HOPS, CEPSTRA),)
        self._hear, self._draw = ready(plan, self.name, hears, (self._speaker, _nobody(networks.config)))

    def enroll(
        self, photo: NDArray[np.uint8], framing: Framing = "head", *, speech: Tensor | None = None
    ) -> IdentityState:
        """Find the face, cut it as DAVS does, encode it. See `System.enroll`.

        Args:
            photo: RGB, [H, W, 3], uint8, upright.
            framing: See `System.enroll`.
            speech: If given, adapt the networks to this face first (see `adapt`): the first `mfcc12` windows of the
                speech to come, [5, 20, 12]. Such an identity carries a decoder of its own, some 90 MB when published
                sizes are used, and is drawn alone.
        """
        from models.visavis.enrol import find_face  # dlib: only enrolment needs it

        marks = three_marks(find_face(photo))
        face, canvas = cut_face(photo, marks, crop_template(), self.frame_px, framing)
        return placed(self.bind((face + 1) / 2, speech=speech), face, canvas)

    @torch.no_grad()
    def bind(self, face: Tensor, *, speech: Tensor | None = None) -> IdentityState:
        """An identity from a face in DAVS's crop, [1, 3, S, S], 0 to 1. `speech` as for `enroll`.

        Raises:
            ValueError: If `speech` has not five windows.
        """
        if speech is None:
            return self._state(self._networks.decoder, self._networks.identity, face)
        if speech.shape != (STEPS, WINDOW_HOPS, CEPSTRA):
            raise ValueError(f"got speech of shape {tuple(speech.shape)}, want {(STEPS, WINDOW_HOPS, CEPSTRA)}")
        identity, decoder = adapt(self._networks, face, speech)
        state = self._state(decoder, identity, face)
        own = decoder.fuse().state_dict()
        return IdentityState(state.system, state.version, state.tensors | {_WEIGHTS + k: t for k, t in own.items()})

    def _state(self, decoder: Decoder, encoder: IdentityEncoder, face: Tensor) -> IdentityState:
        painted = _Speaker(deepcopy(decoder).fuse()).decoder.paint(encoder(face))
        return IdentityState(self.name, self.identity_version, {k: t[0].clone() for k, t in vars(painted).items()})

    def init_state(self, batch: int) -> DavsState:
        """A fresh memory for `batch` streams, as after silence."""
        return DavsState()

    @torch.no_grad()
    def step(
        self, identities: list[IdentityState], features: AudioFeatures, controls: ControlBatch, state: DavsState
    ) -> Tensor:
        """Draw the next frame of each stream. See `System.step`.

        `features.values` are the `mfcc12` windows [B, 20, 12] of which the last hop ends 135 ms after the frame. A lip
        gain below 1 moves the word code towards that of silence.
        """
        (heard,) = self._hear(features.values)
        words = GAIN * (self._silence + controls.lip_gain[:, None] * (heard - self._silence))
        return settle(2 * self._speak(identities, words) - 1, identities)

    def _speak(self, identities: list[IdentityState], words: Tensor) -> Tensor:
        """Faces 0 to 1: those of the shared decoder in one batch, adapted ones each by their own, in torch."""
        self._rows.check(identities)
        own = [{k: t for k, t in i.tensors.items() if k.startswith(_WEIGHTS)} for i in identities]
        frames = torch.empty(len(identities), 3, self.frame_px, self.frame_px)
        shared = [row for row, weights in enumerate(own) if not weights]
        if shared:
            painted = self._rows.stack([identities[row] for row in shared])
            (frames[shared],) = self._draw(*(painted[name] for name in _PAINTED), words[shared])
        for row, weights in enumerate(own):
            if weights:
                parts = (*(identities[row].tensors[name][None] for name in _PAINTED), words[row : row + 1])
                (frames[row : row + 1],) = torch.func.functional_call(self._speaker, weights, parts)
        return frames


class _Speaker(nn.Module):
    """`Decoder.speak` as a module's `forward`, so that it can be called with other weights."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, seed: Tensor, joined: Tensor, words: Tensor) -> tuple[Tensor]:
        return (self.decoder.speak(Painted(seed, joined), words),)


class _Listener(nn.Module):
    """`mfcc12` windows [B, 20, 12] to word codes [B, code]."""

    def __init__(self, audio: AudioEncoder) -> None:
        super().__init__()
        self.audio = audio

    def forward(self, windows: Tensor) -> tuple[Tensor]:
        return (self.audio(windows[:, None]),)


def _nobody(config: DavsConfig) -> tuple[Tensor, ...]:
    """Arguments of `_Speaker`, one row of each."""
    (seed, _), (joined, _), side = config.rounds[0], config.rounds[-3], config.image_px // 8
    return torch.zeros(1, seed, 4, 4), torch.zeros(1, joined, side, side), torch.zeros(1, config.code)


def three_marks(mesh: NDArray[np.float64]) -> NDArray[np.float64]:
    """Both irises and the middle of the mouth's corners, [3, 2], from the 478 mesh points [478, 2]."""
    return np.stack([*mesh[list(_IRISES)], mesh[list(_MOUTH_CORNERS)].mean(0)])


def crop_template() -> NDArray[np.float64]:
    """Where eyes and mouth lie in DAVS's crop, in crop units (0 to 1 from edge to edge), [3, 2].

    The published steps in one: 268 px about (178, 238) of the canvas, resized to 260, of which 256 from 2 on are kept.
    """
    corner = np.array([178.0 - 134.0, 238.0 - 134.0])
    return ((_TEMPLATE - corner) * (260 / 268) - 2) / 256


def _enrolling(networks: DavsNetworks) -> list[Tensor]:
    """Every weight that `bind` uses."""
    return [tensor for part in (networks.identity, networks.decoder) for tensor in part.state_dict().values()]
