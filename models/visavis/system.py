"""The house model as a `System`: voice to rig, rig to geometry, geometry to pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from models.errors import IdentityError
from models.rig import ANGLES, CONTROLS, SPEECH, clamp, columns
from models.system import AudioFeatures, ControlBatch, IdentityState
from models.visavis.engine import Backend, painter
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES, crop, crop_box, fit, shape_in_frame
from models.visavis.geometry import Binding, Geometry
from models.visavis.ict import Rig, Shape, person
from models.visavis.renderer import FRAME_PX, IdentityEncoder, PatchNet, blend, condition
from models.visavis.speech import LOOKAHEADS_MS, SpeechNet, SpeechState

WEIGHTS: Final = Path(__file__).parent / "weights" / "renderer.safetensors"
IDENTITY_VERSION: Final = 1
_SPEECH: Final = columns(SPEECH)


@dataclass(slots=True)
class VisavisState:
    """What a batch of streams remembers: only the voice has a past, a frame has none."""

    speech: SpeechState

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true, in place."""
        self.speech.reset(rows)


@dataclass(frozen=True)
class _Faces:
    """Identities as the networks want them, a row per stream."""

    photo: Tensor  # [B, 3, 256, 256], -1 to 1
    fine: Tensor
    coarse: Tensor
    base: Tensor
    own: Tensor  # the photo's controls relative to rest, [B, 57]
    shape: Shape
    binding: Binding


class Visavis:
    """The house model. See MODEL_CARD.md for what its weights were trained on."""

    name: Final = "visavis"
    identity_version: Final = IDENTITY_VERSION
    front_end: Final = "log_mel80"
    lookahead_ms: Final = LOOKAHEADS_MS
    frame_px: Final = FRAME_PX
    controls: Final = frozenset(CONTROLS) - {"tongueOut"}

    def __init__(self, rig: Rig, speech: SpeechNet, encoder: IdentityEncoder, net: PatchNet, backend: Backend) -> None:
        self._rig, self._speech, self._encoder = rig, speech.eval(), encoder.eval()
        self._geometry = Geometry(rig)
        self._paint = painter(net.eval(), backend)
        self._stacked: tuple[list[IdentityState], _Faces] | None = None

    @classmethod
    def load(cls, backend: Backend = "openvino", path: Path = WEIGHTS) -> "Visavis":
        """The system with the bundled weights (or a renderer from `path`), on the CPU."""
        encoder, net = IdentityEncoder(), PatchNet()
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        for module, prefix in ((encoder, "encoder."), (net, "net.")):
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        return cls(Rig.load(), SpeechNet.load(), encoder, net, backend)

    @torch.no_grad()
    def enroll(self, photo: NDArray[np.uint8]) -> IdentityState:
        """Find the face, fit the rig to it, encode it. See `System.enroll`."""
        from models.visavis.enrol import find_face  # dlib: only enrolment needs it

        points = torch.from_numpy(find_face(photo)).float()
        shape = fit(self._rig, points[list(MEDIAPIPE_68)], points[list(MEDIAPIPE_IRISES)])
        box = crop_box(shape)
        return self.bind(crop(photo, box, FRAME_PX), shape_in_frame(shape, box, FRAME_PX))

    @torch.no_grad()
    def bind(self, frame: NDArray[np.uint8], shape: Shape) -> IdentityState:
        """An identity from a photo already cut to the frame, [256, 256, 3] uint8, and its fit in frame pixels."""
        photo = torch.from_numpy(frame.copy()).permute(2, 0, 1).contiguous()
        one = Shape.from_tensors({name: t[None] for name, t in shape.tensors().items()})
        own = F.pad(one.expression - one.rest, (0, len(ANGLES)))
        binding = self._geometry.bind(one, own)
        fine, coarse = self._encoder(torch.cat([_unit(photo[None]), binding.mouth], 1))
        tensors = {"photo": photo, "fine": fine[0], "coarse": coarse[0], "own": own[0]}
        tensors["base"] = person(self._geometry.rig, one)[0]
        tensors |= shape.tensors("shape.") | {name: t[0] for name, t in binding.tensors("binding.").items()}
        return IdentityState(self.name, IDENTITY_VERSION, tensors)

    def init_state(self, batch: int) -> VisavisState:
        """A fresh memory for `batch` streams."""
        return VisavisState(self._speech.init_state(batch))

    @torch.no_grad()
    def step(
        self, identities: list[IdentityState], features: AudioFeatures, controls: ControlBatch, state: VisavisState
    ) -> Tensor:
        """Draw the next frame of each stream. See `System.step`."""
        wanted = controls.values.clone()
        wanted[:, _SPEECH] += self._speech.step(features, state.speech) * controls.lip_gain[:, None]
        return self.draw(identities, clamp(wanted))

    @torch.no_grad()
    def draw(self, identities: list[IdentityState], controls: Tensor) -> Tensor:
        """Draw each identity under its controls [B, 57], [B, 3, 256, 256], -1 to 1."""
        faces = self._faces(identities)
        prior = self._geometry.predict(faces.photo, faces.binding, faces.shape, controls, faces.base)
        steer = condition(faces.shape, faces.own, controls)
        rows = [
            self._paint(prior.fine[i : i + 1], prior.coarse[i : i + 1], faces.fine[i : i + 1], faces.coarse[i : i + 1],
                        prior.at[i : i + 1], steer[i : i + 1])
            for i in range(len(identities))
        ]  # fmt: skip
        return blend(prior.frame, torch.cat(rows), prior.corner)

    def _faces(self, identities: list[IdentityState]) -> _Faces:
        """Stack the rows; the last stack is kept, since who sits in which row rarely changes."""
        if self._stacked and [id(i) for i in self._stacked[0]] == [id(i) for i in identities]:
            return self._stacked[1]
        for identity in identities:
            if (identity.system, identity.version) != (self.name, IDENTITY_VERSION):
                raise IdentityError(f"{identity.system} {identity.version}", f"{self.name} {IDENTITY_VERSION}")
        stack = {k: torch.stack([i.tensors[k] for i in identities]) for k in identities[0].tensors}
        faces = _Faces(
            _unit(stack["photo"]), stack["fine"], stack["coarse"], stack["base"], stack["own"],
            Shape.from_tensors(stack, "shape."), Binding.from_tensors(stack, "binding."),
        )  # fmt: skip
        self._stacked = (list(identities), faces)
        return faces


def _unit(levels: Tensor) -> Tensor:
    """uint8 levels to -1 to 1."""
    return levels.float() / 127.5 - 1.0
