"""The house model as a `System`: voice to rig, rig to geometry, geometry to pixels."""

import logging
import zlib
from copy import deepcopy
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
from models.engine import AUTO, Plan, choose
from models.errors import IdentityError
from models.finite import broken
from models.framing import Framing
from models.rig import CONTROLS, SPEECH, clamp, columns
from models.system import AudioFeatures, ControlBatch, IdentityState
from models.visavis.drawing import Drawing, Faces, hang
from models.visavis.engine import Recent, Row, start
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES, Box, crop, crop_box, fit, shape_in_frame, to_frame
from models.visavis.geometry import Geometry
from models.visavis.ict import Rig, Shape, blinks, mean_shape
from models.visavis.matte import MATTE_PX, matte
from models.visavis.renderer import DETAIL, FRAME_PX, MARGIN_PX, PHOTO_PX, IdentityEncoder, PatchNet, Size
from models.visavis.speech import LOOKAHEADS_MS, SpeechNet, SpeechState
from models.visavis.surroundings import surroundings

_WEIGHTS: Final = Path(__file__).parent / "weights"
RENDERERS: Final[dict[Size, Path]] = {
    "small": _WEIGHTS / "renderer.safetensors",
    "base": _WEIGHTS / "renderer-base.safetensors",
}
IDENTITY_FORMAT: Final = 12
"""Goes up when the code that enrols changes what it stores."""
_SPEECH: Final = torch.tensor(columns(SPEECH))
_LIDS_STILL: Final = 0.02  # below this nobody sees a lid move
_VIEW: Final = "view"
_UNSEEN: Final = {"headYaw": 0.15, "headPitch": 0.135, "headRoll": 0.08, "gazeYaw": 0.5, "gazePitch": 0.5}
"""Degrees after which a picture differs: for the head a mean shift of its pixels by 0.18."""
_UNSEEN_SHAPE: Final = 0.02
_UNSEEN_LIDS: Final = 0.03
_WHOLE: Final = torch.tensor([-MARGIN_PX, -MARGIN_PX, FRAME_PX + MARGIN_PX, FRAME_PX + MARGIN_PX], dtype=torch.float32)

logger = logging.getLogger(__name__)


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

    def __init__(self, rig: Rig, speech: SpeechNet, encoder: IdentityEncoder, net: PatchNet, plan: Plan) -> None:
        self._detail = encoder.detail
        self.name = "visavis" if self._detail == 1 else "visavis-base"
        self.frame_px = FRAME_PX * self._detail
        self.identity_version = _identity_version(encoder)
        self.plan = plan
        self._rig, self._speech, self._encoder = rig, speech.eval(), encoder.eval()
        self._geometry = Geometry(rig, self._detail)  # enrols on the CPU, wherever frames are drawn
        net = deepcopy(net).eval()
        if plan.backend != "openvino":  # which takes float32 and lays out memory by itself
            net.to(plan.device, plan.dtype)
            net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - its stub does not know it
        geometry = self._geometry.to(plan.device)
        # painting the eyes costs a CPU a third more, so there it is done only while lids move; a GPU does not notice
        lids = [True] if plan.device.type == "cuda" else [False, True]
        drawings = [Drawing(geometry, net, lids=painted) for painted in lids]
        fresh = self._speech.init_state(1)
        sound = torch.zeros(1, HOPS_PER_FRAME, BANDS), torch.zeros(1), fresh.heard, fresh.hidden
        self._engines = start(plan, self.name, drawings, self._nobody(), self._speech, sound)
        remembered = self._engines.identities
        self._persons = Recent[IdentityState, _Person](remembered, lambda identity, _: self._person(identity))

    @classmethod
    def load(
        cls, backend: str = AUTO, size: Size = "small", path: Path | None = None, precision: str = AUTO
    ) -> "Visavis":
        """The system of one size with the bundled weights, or with a renderer from `path`.

        Args:
            backend: What draws, one of `models.engine.BACKENDS`, or "auto": what is fastest here.
            size: Of the pictures.
            path: Another renderer.
            precision: Of the painter, one of `models.engine.PRECISIONS`, or "auto": what the device is fast in.

        Raises:
            BackendError: If that cannot work on this machine.
        """
        plan = choose(backend, precision)
        logger.info("engine: %s", plan)
        encoder, net = IdentityEncoder(DETAIL[size]), PatchNet(DETAIL[size])
        tensors = {name: tensor.float() for name, tensor in load_file(path or RENDERERS[size]).items()}
        for module, prefix in ((encoder, "encoder."), (net, "net.")):
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        return cls(Rig.load(), SpeechNet.load(), encoder, net.requires_grad_(False), plan)

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
        faces = hang(self._geometry, self._encoder, photo, matte(photo), one, moving)
        tensors = {name: t[0].clone() for name, t in faces.tensors().items()}
        view = shown(photo_px if canvas is None else _WHOLE)
        return IdentityState(self.name, self.identity_version, {**tensors, _VIEW: view}, canvas)

    def init_state(self, batch: int) -> VisavisState:
        """A fresh memory for `batch` streams, on the CPU."""
        return VisavisState(self._speech.init_state(batch))

    def step(
        self, identities: list[IdentityState], features: AudioFeatures, controls: ControlBatch, state: VisavisState
    ) -> Tensor:
        """Draw the next frame of each stream. See `System.step`."""
        return self.draw(identities, self.pose(features, controls, state))

    @torch.no_grad()
    def pose(self, features: AudioFeatures, controls: ControlBatch, state: VisavisState) -> Tensor:
        """The controls of each stream's next frame with the voice's share, [B, 57], on the CPU. See `Posed.pose`.

        A stream whose sound made nonsense of them begins anew; its row is not finite, and neither is what is drawn.
        """
        heard = (state.speech.heard, state.speech.hidden)
        spoken, *memory = self._engines.listen(features.values, features.lookahead_ms, *heard)
        state.speech.follow(*memory)
        wanted = controls.values.index_add(1, _SPEECH, spoken * controls.lip_gain[:, None])
        if (lost := broken(wanted)).any():
            state.reset(lost)
            wanted[lost] = torch.nan
        return clamp(wanted)

    @torch.no_grad()
    def draw(self, identities: list[IdentityState], controls: Tensor) -> Tensor:
        """Draw each identity under its controls [B, 57], [B, 3, frame_px, frame_px], about -1 to 1.

        Controls come on the CPU; frames lie on the device that draws. Streams that need the same drawing go together.
        Where controls are not finite, the frame is not either.
        """
        lost, controls = broken(controls), controls.nan_to_num(0.0, 0.0, 0.0)  # they would become addresses of pixels
        persons = [self._persons.of(identity) for identity in identities]
        choice = len(self._engines.draw) > 1
        drawn_by = [int(choice and person.lids_move(row)) for person, row in zip(persons, controls, strict=True)]
        parts: list[Tensor] = []
        order: list[int] = []
        for which in sorted(set(drawn_by)):
            rows = [at for at, by in enumerate(drawn_by) if by == which]
            parts.append(self._engines.draw[which](controls[rows], [persons[at].row for at in rows]))
            order += rows
        frames = parts[0] if len(parts) == 1 else torch.cat(parts)[torch.tensor(order).argsort()]
        if lost.any():
            frames[lost.to(frames.device)] = torch.nan
        return zoom(frames, [person.view for person in persons])

    def _person(self, identity: IdentityState) -> "_Person":
        if (identity.system, identity.version) != (self.name, self.identity_version):
            raise IdentityError(f"{identity.system} {identity.version}", f"{self.name} {self.identity_version}")
        rows = {name: tensor[None].contiguous() for name, tensor in identity.tensors.items() if name != _VIEW}
        faces = Faces.from_tensors(rows)
        row = tuple(faces.tensors().values())
        return _Person(row, faces.shape, blinks(faces.shape, faces.own), tuple(identity.tensors[_VIEW].tolist()))

    @torch.no_grad()
    def _nobody(self) -> Row:
        """The mean face under a grey photo."""
        side = PHOTO_PX * self._detail
        grey = torch.zeros(1, 3, side, side), torch.zeros(1, 1, MATTE_PX, MATTE_PX)
        return tuple(hang(self._geometry, self._encoder, *grey, mean_shape()).tensors().values())


@dataclass(frozen=True)
class _Person:
    """An identity as the drawing wants it.

    Attributes:
        row: What engines know it by.
        shape: Who it is, a batch of one.
        blinks: The blinks that the photo shows, [1, 2].
        view: What is shown of each frame (x0, y0, x1, y1), frame px.
    """

    row: Row
    shape: Shape
    blinks: Tensor
    view: tuple[int, ...]

    def lids_move(self, controls: Tensor) -> bool:
        """Whether controls [57] on the CPU move the lids, so that somebody sees it. Speech never does."""
        return bool((blinks(self.shape, controls[None]) - self.blinks).abs().amax() > _LIDS_STILL)


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


def zoom(frames: Tensor, views: list[tuple[int, ...]]) -> Tensor:
    """Enlarge the part of each frame [B, 3, S, S] that is shown (x0, y0, x1, y1), frame px, to the whole frame."""
    side = frames.shape[-1]
    detail = side // FRAME_PX
    if all(x1 - x0 == FRAME_PX for x0, _, x1, _ in views):
        return frames
    pieces = [
        frame[None, :, y0 * detail : y1 * detail, x0 * detail : x1 * detail]
        for frame, (x0, y0, x1, y1) in zip(frames, views, strict=True)
    ]
    return torch.cat([F.interpolate(piece, (side, side), mode="bicubic", align_corners=False) for piece in pieces])


def with_margin(box: Box) -> Box:
    """The frame's box grown by `MARGIN_PX` frame pixels on each side."""
    margin = (box[2] - box[0]) * MARGIN_PX / FRAME_PX
    return box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin


def _identity_version(encoder: IdentityEncoder) -> int:
    """Names what made an identity: the format, and a checksum of every weight that enrolment uses."""
    checksum = IDENTITY_FORMAT
    for name in ("landmarks", "parts", "rig", "matte"):
        checksum = zlib.crc32((_WEIGHTS / f"{name}.safetensors").read_bytes(), checksum)
    for tensor in encoder.state_dict().values():
        checksum = zlib.crc32(tensor.numpy().tobytes(), checksum)
    return checksum
