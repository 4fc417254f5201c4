"""The house model as a `System`: voice to rig, rig to geometry, geometry to pixels."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from models.audio.log_mel import BANDS, HOPS_PER_FRAME
from models.errors import IdentityError
from models.rig import CONTROLS, SPEECH, clamp, columns
from models.system import AudioFeatures, ControlBatch, IdentityState
from models.visavis.drawing import Drawing, Faces, blend, hang
from models.visavis.engine import Backend, engine
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES, Box, crop, crop_box, fit, shape_in_frame
from models.visavis.geometry import Geometry
from models.visavis.ict import Rig, Shape, blinks, mean_shape
from models.visavis.renderer import FRAME_PX, MARGIN_PX, PHOTO_PX, IdentityEncoder, PatchNet
from models.visavis.speech import LOOKAHEADS_MS, SpeechNet, SpeechState, SpeechStep

WEIGHTS: Final = Path(__file__).parent / "weights" / "renderer.safetensors"
IDENTITY_FORMAT: Final = 4
"""Goes up when the code that enrols changes what it stores."""
_SPEECH: Final = torch.tensor(columns(SPEECH))
_LIDS_STILL: Final = 0.02  # below this nobody sees a lid move


@dataclass(slots=True)
class VisavisState:
    """What a batch of streams remembers: only the voice has a past, a frame has none."""

    speech: SpeechState

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true, in place."""
        self.speech.reset(rows)


class Visavis:
    """The house model. See MODEL_CARD.md for what its weights were trained on."""

    name: Final = "visavis"
    front_end: Final = "log_mel80"
    lookahead_ms: Final = LOOKAHEADS_MS
    frame_px: Final = FRAME_PX
    controls: Final = frozenset(CONTROLS) - {"tongueOut"}

    def __init__(self, rig: Rig, speech: SpeechNet, encoder: IdentityEncoder, net: PatchNet, backend: Backend) -> None:
        self.identity_version = _identity_version(encoder)
        self._rig, self._speech, self._encoder = rig, speech.eval(), encoder.eval()
        self._geometry = Geometry(rig)
        with torch.no_grad():
            blank = hang(self._geometry, self._encoder, torch.zeros(1, 3, PHOTO_PX, PHOTO_PX), mean_shape())
        fixed, controls = tuple(blank.tensors().values()), [torch.zeros(1, len(CONTROLS))]
        every, mouth = (Drawing(self._geometry, net.eval(), lids=lids) for lids in (True, False))
        self._draw_all = engine("mouth-and-eyes", every, backend, controls, fixed)
        self._draw_mouth = engine("mouth", mouth, backend, controls, fixed)
        fresh = self._speech.init_state(1)
        sound = [torch.zeros(1, HOPS_PER_FRAME, BANDS), torch.zeros(1), fresh.heard, fresh.hidden]
        self._listen = engine("speech", SpeechStep(self._speech), backend, sound)
        self._stacked: tuple[list[IdentityState], Faces, Tensor, tuple[Tensor, ...]] | None = None

    @classmethod
    def load(cls, backend: Backend = "openvino", path: Path = WEIGHTS) -> "Visavis":
        """The system with the bundled weights (or a renderer from `path`), on the CPU."""
        encoder, net = IdentityEncoder(), PatchNet()
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        for module, prefix in ((encoder, "encoder."), (net, "net.")):
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        return cls(Rig.load(), SpeechNet.load(), encoder, net, backend)

    def enroll(self, photo: NDArray[np.uint8]) -> IdentityState:
        """Find the face, fit the rig to it, encode it. See `System.enroll`."""
        from models.visavis.enrol import find_face  # dlib: only enrolment needs it

        points = torch.from_numpy(find_face(photo)).float()
        shape = fit(self._rig, points[list(MEDIAPIPE_68)], points[list(MEDIAPIPE_IRISES)])
        box = crop_box(shape)
        return self.bind(crop(photo, with_margin(box), PHOTO_PX), shape_in_frame(shape, box, FRAME_PX))

    @torch.no_grad()
    def bind(self, frame: NDArray[np.uint8], shape: Shape) -> IdentityState:
        """An identity from a photo cut to frame and margin, [320, 320, 3] uint8, and its fit in frame pixels."""
        photo = torch.from_numpy(frame.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1.0
        one = Shape.from_tensors({name: t[None] for name, t in shape.tensors().items()})
        faces = hang(self._geometry, self._encoder, photo, one)
        return IdentityState(
            self.name, self.identity_version, {name: t[0].clone() for name, t in faces.tensors().items()}
        )

    def init_state(self, batch: int) -> VisavisState:
        """A fresh memory for `batch` streams."""
        return VisavisState(self._speech.init_state(batch))

    @torch.no_grad()
    def step(
        self, identities: list[IdentityState], features: AudioFeatures, controls: ControlBatch, state: VisavisState
    ) -> Tensor:
        """Draw the next frame of each stream. See `System.step`."""
        voice = (features.values, features.lookahead_ms, state.speech.heard, state.speech.hidden)
        spoken, *memory = self._listen(voice, ())
        state.speech.follow(*memory)
        wanted = controls.values.index_add(1, _SPEECH, spoken * controls.lip_gain[:, None])
        return self.draw(identities, clamp(wanted))

    def draw(self, identities: list[IdentityState], controls: Tensor) -> Tensor:
        """Draw each identity under its controls [B, 57], [B, 3, 256, 256], -1 to 1."""
        faces, own_blinks, tensors = self._faces(identities)
        lids = (blinks(faces.shape, controls) - own_blinks).abs().amax()
        draw = self._draw_all if lids > _LIDS_STILL else self._draw_mouth
        return blend(*draw((controls,), tensors))

    def _faces(self, identities: list[IdentityState]) -> tuple[Faces, Tensor, tuple[Tensor, ...]]:
        """The stacked rows, the blinks that the photos show, [B, 2], and the rows' tensors.

        The last stack is kept, since who sits in which row rarely changes.
        """
        if self._stacked and [id(i) for i in self._stacked[0]] == [id(i) for i in identities]:
            return self._stacked[1:]
        for identity in identities:
            if (identity.system, identity.version) != (self.name, self.identity_version):
                raise IdentityError(f"{identity.system} {identity.version}", f"{self.name} {self.identity_version}")
        names = identities[0].tensors
        faces = Faces.from_tensors({name: torch.stack([i.tensors[name] for i in identities]) for name in names})
        self._stacked = (list(identities), faces, blinks(faces.shape, faces.own), tuple(faces.tensors().values()))
        return self._stacked[1:]


def with_margin(box: Box) -> Box:
    """The frame's box grown by `MARGIN_PX` frame pixels on each side."""
    margin = (box[2] - box[0]) * MARGIN_PX / FRAME_PX
    return box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin


def _identity_version(encoder: IdentityEncoder) -> int:
    """Names what made an identity: the format, and a checksum of every weight that enrolment uses."""
    checksum = IDENTITY_FORMAT
    for name in ("landmarks", "rig"):
        checksum = zlib.crc32(WEIGHTS.with_stem(name).read_bytes(), checksum)
    for tensor in encoder.state_dict().values():
        checksum = zlib.crc32(tensor.numpy().tobytes(), checksum)
    return checksum
