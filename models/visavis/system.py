"""The house model as a `System`: voice to rig, rig to geometry, geometry to pixels."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from models.audio.log_mel import BANDS, HOPS_PER_FRAME
from models.canvas import Canvas
from models.errors import IdentityError
from models.framing import Framing
from models.rig import CONTROLS, SPEECH, clamp, columns
from models.system import AudioFeatures, ControlBatch, IdentityState
from models.visavis.drawing import Drawing, Faces, blend, hang
from models.visavis.engine import Backend, engine
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES, Box, crop, crop_box, fit, shape_in_frame, to_frame
from models.visavis.geometry import Geometry
from models.visavis.ict import Rig, Shape, blinks, mean_shape
from models.visavis.renderer import DETAIL, FRAME_PX, MARGIN_PX, PHOTO_PX, IdentityEncoder, PatchNet, Size
from models.visavis.speech import LOOKAHEADS_MS, SpeechNet, SpeechState, SpeechStep
from models.visavis.surroundings import surroundings

_WEIGHTS: Final = Path(__file__).parent / "weights"
RENDERERS: Final[dict[Size, Path]] = {
    "small": _WEIGHTS / "renderer.safetensors",
    "base": _WEIGHTS / "renderer-base.safetensors",
}
IDENTITY_FORMAT: Final = 6
"""Goes up when the code that enrols changes what it stores."""
_SPEECH: Final = torch.tensor(columns(SPEECH))
_LIDS_STILL: Final = 0.02  # below this nobody sees a lid move
_VIEW: Final = "view"
_UNSEEN: Final = {"headYaw": 0.12, "headPitch": 0.11, "headRoll": 0.066, "gazeYaw": 0.5, "gazePitch": 0.5}
"""Degrees after which a picture differs: for the head a mean shift of its pixels by 0.15."""
_UNSEEN_SHAPE: Final = 0.02
_UNSEEN_LIDS: Final = 0.03
_WHOLE: Final = torch.tensor([-MARGIN_PX, -MARGIN_PX, FRAME_PX + MARGIN_PX, FRAME_PX + MARGIN_PX], dtype=torch.float32)


def _unseen() -> Tensor:
    shares = dict.fromkeys(CONTROLS, _UNSEEN_SHAPE) | dict.fromkeys(("eyeBlinkLeft", "eyeBlinkRight"), _UNSEEN_LIDS)
    return torch.tensor([(shares | _UNSEEN)[name] for name in CONTROLS])


@dataclass(slots=True)
class VisavisState:
    """What a batch of streams remembers: only the voice has a past, a frame has none."""

    speech: SpeechState

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true, in place."""
        self.speech.reset(rows)


class Visavis:
    """The house model. See MODEL_CARD.md for what its weights were trained on."""

    front_end: Final = "log_mel80"
    lookahead_ms: Final = LOOKAHEADS_MS
    controls: Final = frozenset(CONTROLS) - {"tongueOut"}
    unseen: Final = _unseen()

    def __init__(self, rig: Rig, speech: SpeechNet, encoder: IdentityEncoder, net: PatchNet, backend: Backend) -> None:
        self._detail = encoder.detail
        self.name = "visavis" if self._detail == 1 else "visavis-base"
        self.frame_px = FRAME_PX * self._detail
        self.identity_version = _identity_version(encoder)
        self._rig, self._speech, self._encoder = rig, speech.eval(), encoder.eval()
        self._geometry = Geometry(rig, self._detail)
        side = PHOTO_PX * self._detail
        with torch.no_grad():
            blank = hang(self._geometry, self._encoder, torch.zeros(1, 3, side, side), mean_shape())
        fixed, controls = tuple(blank.tensors().values()), [torch.zeros(1, len(CONTROLS))]
        every, mouth = (Drawing(self._geometry, net.eval(), lids=lids) for lids in (True, False))
        self._draw_all = engine(f"{self.name}-mouth-and-eyes", every, backend, controls, fixed)
        self._draw_mouth = engine(f"{self.name}-mouth", mouth, backend, controls, fixed)
        fresh = self._speech.init_state(1)
        sound = [torch.zeros(1, HOPS_PER_FRAME, BANDS), torch.zeros(1), fresh.heard, fresh.hidden]
        self._listen = engine("speech", SpeechStep(self._speech), backend, sound)
        self._stacked: _Stack | None = None

    @classmethod
    def load(cls, backend: Backend = "openvino", size: Size = "small", path: Path | None = None) -> "Visavis":
        """The system of one size with the bundled weights (or a renderer from `path`), on the CPU."""
        encoder, net = IdentityEncoder(DETAIL[size]), PatchNet(DETAIL[size])
        tensors = {name: tensor.float() for name, tensor in load_file(path or RENDERERS[size]).items()}
        for module, prefix in ((encoder, "encoder."), (net, "net.")):
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        return cls(Rig.load(), SpeechNet.load(), encoder, net, backend)

    def enroll(self, photo: NDArray[np.uint8], framing: Framing = "head") -> IdentityState:
        """Find the face, fit the rig to it, encode it. See `System.enroll`."""
        from models.visavis.enrol import find_face  # dlib: only enrolment needs it

        points = torch.from_numpy(find_face(photo)).float()
        shape = fit(self._rig, points[list(MEDIAPIPE_68)], points[list(MEDIAPIPE_IRISES)])
        box = crop_box(shape)
        height, width = photo.shape[:2]
        corners = to_frame(torch.tensor([[0.0, 0.0], [float(width), float(height)]]), box, FRAME_PX)
        frame = crop(photo, with_margin(box), PHOTO_PX * self._detail)
        canvas = surroundings(photo, box, self.frame_px) if framing == "photo" else None
        return self.bind(frame, shape_in_frame(shape, box, FRAME_PX), corners.flatten(), canvas)

    @torch.no_grad()
    def bind(
        self, frame: NDArray[np.uint8], shape: Shape, photo_px: Tensor = _WHOLE, canvas: Canvas | None = None
    ) -> IdentityState:
        """An identity from a photo cut to frame and margin, and its fit in frame pixels.

        Args:
            frame: RGB, [320 d, 320 d, 3], uint8.
            shape: The person.
            photo_px: Where in the frame the photo begins and ends (x0, y0, x1, y1), [4], frame px. If that is short of
                the frame, only the largest square that the photo fills is shown, enlarged.
            canvas: What the frame is pasted into. With it the frame stands still at its edges and all of it is shown.
        """
        photo = torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1.0
        one = Shape.from_tensors({name: t[None] for name, t in shape.tensors().items()})
        moving = None if canvas is None else photo_px[None].clamp(0.0, FRAME_PX)  # what the photo fills of the frame
        faces = hang(self._geometry, self._encoder, photo, one, photo_px[None], moving)
        tensors = {name: t[0].clone() for name, t in faces.tensors().items()}
        view = shown(photo_px if canvas is None else _WHOLE)
        return IdentityState(self.name, self.identity_version, {**tensors, _VIEW: view}, canvas)

    def init_state(self, batch: int) -> VisavisState:
        """A fresh memory for `batch` streams."""
        return VisavisState(self._speech.init_state(batch))

    def step(
        self, identities: list[IdentityState], features: AudioFeatures, controls: ControlBatch, state: VisavisState
    ) -> Tensor:
        """Draw the next frame of each stream. See `System.step`."""
        return self.draw(identities, self.pose(features, controls, state))

    @torch.no_grad()
    def pose(self, features: AudioFeatures, controls: ControlBatch, state: VisavisState) -> Tensor:
        """The controls of each stream's next frame, the voice's share included, [B, 57]. See `Posed.pose`."""
        voice = (features.values, features.lookahead_ms, state.speech.heard, state.speech.hidden)
        spoken, *memory = self._listen(voice, ())
        state.speech.follow(*memory)
        wanted = controls.values.index_add(1, _SPEECH, spoken * controls.lip_gain[:, None])
        return clamp(wanted)

    @torch.no_grad()
    def draw(self, identities: list[IdentityState], controls: Tensor) -> Tensor:
        """Draw each identity under its controls [B, 57], [B, 3, frame_px, frame_px], -1 to 1."""
        stack = self._stack(identities)
        lids = (blinks(stack.shape, controls) - stack.blinks).abs().amax()
        draw = self._draw_all if lids > _LIDS_STILL else self._draw_mouth
        return zoom(blend(*draw((controls,), stack.tensors)), stack.views)

    def _stack(self, identities: list[IdentityState]) -> "_Stack":
        """The identities as rows. The last stack is kept, since who sits in which row rarely changes."""
        if self._stacked and [id(i) for i in self._stacked.identities] == [id(i) for i in identities]:
            return self._stacked
        for identity in identities:
            if (identity.system, identity.version) != (self.name, self.identity_version):
                raise IdentityError(f"{identity.system} {identity.version}", f"{self.name} {self.identity_version}")
        rows = {name: torch.stack([i.tensors[name] for i in identities]) for name in identities[0].tensors}
        views = rows.pop(_VIEW)
        faces = Faces.from_tensors(rows)
        own = blinks(faces.shape, faces.own)
        self._stacked = _Stack(list(identities), faces.shape, own, tuple(faces.tensors().values()), views)
        return self._stacked


@dataclass(frozen=True)
class _Stack:
    """Identities as rows of a batch.

    Attributes:
        identities: Whose they are.
        shape: The persons.
        blinks: The blinks that the photos show, [B, 2].
        tensors: Those of `FACES`.
        views: What is shown of each frame (x0, y0, x1, y1), [B, 4], frame px, int64.
    """

    identities: list[IdentityState]
    shape: Shape
    blinks: Tensor
    tensors: tuple[Tensor, ...]
    views: Tensor


def shown(photo_px: Tensor) -> Tensor:
    """The largest square of the frame that the photo fills, about the frame's middle as far as can be.

    Args:
        photo_px: Where in the frame the photo begins and ends (x0, y0, x1, y1), [4], frame px.

    Returns:
        The same for the square, [4], int64.
    """
    low = photo_px[:2].ceil().long().clamp(0, FRAME_PX)
    high = photo_px[2:].floor().long().clamp(0, FRAME_PX)
    side = (high - low).amin()
    corner = (torch.tensor([FRAME_PX, FRAME_PX]) - side) // 2
    corner = torch.minimum(torch.maximum(corner, low), high - side)
    return torch.cat([corner, corner + side])


def zoom(frames: Tensor, views: Tensor) -> Tensor:
    """Enlarge the part of each frame [B, 3, S, S] that is shown, `views` [B, 4] in frame px, to the whole frame."""
    side = frames.shape[-1]
    views = views * (side // FRAME_PX)
    if (views[:, 2] - views[:, 0] == side).all():
        return frames
    pieces = [frame[None, :, y0:y1, x0:x1] for frame, (x0, y0, x1, y1) in zip(frames, views.tolist(), strict=True)]
    return torch.cat([F.interpolate(piece, (side, side), mode="bilinear", align_corners=False) for piece in pieces])


def with_margin(box: Box) -> Box:
    """The frame's box grown by `MARGIN_PX` frame pixels on each side."""
    margin = (box[2] - box[0]) * MARGIN_PX / FRAME_PX
    return box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin


def _identity_version(encoder: IdentityEncoder) -> int:
    """Names what made an identity: the format, and a checksum of every weight that enrolment uses."""
    checksum = IDENTITY_FORMAT
    for name in ("landmarks", "parts", "rig"):
        checksum = zlib.crc32((_WEIGHTS / f"{name}.safetensors").read_bytes(), checksum)
    for tensor in encoder.state_dict().values():
        checksum = zlib.crc32(tensor.numpy().tobytes(), checksum)
    return checksum
