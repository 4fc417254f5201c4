"""From controls to a frame: geometry, painter and blend in one module that can be exported."""

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.rig import ANGLES
from models.visavis.geometry import Binding, Geometry, cut, paste
from models.visavis.ict import Shape, person
from models.visavis.renderer import PATCH_H, PATCH_W, IdentityEncoder, PatchNet, condition, inner

_FEATHER_PX: Final = 8.0
_MOUTH_TOP: Final = 64  # row of the patch; a multiple of 8, well above any lip


@dataclass(frozen=True)
class Faces:
    """Identities as the drawing wants them, a row per stream.

    Attributes:
        photo: The frame of the photo with its margin, [B, 3, 320, 320], -1 to 1.
        fine: `IdentityEncoder`'s finer features, [B, 16, 128, 128].
        coarse: Its coarser ones, [B, 32, 64, 64].
        base: What `person(geometry.rig, shape)` gave, [B, V, 3], cm.
        own: What the photo shows relative to rest, [B, 57].
        shape: Who they are, in frame pixels.
        binding: How the photos hang on the rig.
    """

    photo: Tensor
    fine: Tensor
    coarse: Tensor
    base: Tensor
    own: Tensor
    shape: Shape
    binding: Binding

    def tensors(self) -> dict[str, Tensor]:
        """All fields as a flat dict, in a fixed order."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        return plain | self.shape.tensors("shape.") | self.binding.tensors("binding.")

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "Faces":
        """The inverse of `tensors`."""
        plain = {name: tensors[name] for name in _PLAIN}
        shape, binding = Shape.from_tensors(tensors, "shape."), Binding.from_tensors(tensors, "binding.")
        return cls(**plain, shape=shape, binding=binding)


def hang(geometry: Geometry, encoder: IdentityEncoder, photo: Tensor, shape: Shape) -> Faces:
    """All that depends on photos alone: [B, 3, 320, 320], -1 to 1, and their fits in frame pixels, a row each."""
    own = F.pad(shape.expression - shape.rest, (0, len(ANGLES)))
    binding = geometry.bind(shape, own)
    fine, coarse = encoder(inner(torch.cat([photo, binding.mouth], 1)))
    return Faces(photo, fine, coarse, person(geometry.rig, shape), own, shape, binding)


_PLAIN: Final = ("photo", "fine", "coarse", "base", "own")


class Drawing(nn.Module):
    """Draws faces under their controls.

    Without `lids` only the lower part of the patch is painted, for 44 % less: the same picture where no lid moved.
    """

    def __init__(self, geometry: Geometry, net: PatchNet, *, lids: bool = True) -> None:
        super().__init__()
        self.geometry, self.net = geometry, net
        self.top = 0 if lids else _MOUTH_TOP
        rows, columns = (torch.arange(n) + 0.5 for n in (PATCH_H, PATCH_W))
        down, across = torch.minimum(rows, PATCH_H - rows), torch.minimum(columns, PATCH_W - columns)
        self.share = (torch.minimum(down[:, None], across[None]) / _FEATHER_PX).clamp(max=1.0)[self.top :]

    def forward(self, faces: Faces, controls: Tensor) -> Tensor:
        """Frames [B, 3, 256, 256], -1 to 1, for controls relative to rest, [B, 57]."""
        prior = self.geometry.predict(faces.photo, faces.binding, faces.shape, controls, faces.base)
        steer = condition(faces.shape, faces.own, controls)
        fine, half = prior.fine[:, :, self.top :], self.top // 2
        painted = self.net(fine, prior.coarse[:, :, half:], faces.fine, faces.coarse, prior.at[:, half:], steer)
        corner = prior.corner + torch.tensor([0, self.top])
        warped = cut(prior.frame, corner, PATCH_H - self.top, PATCH_W)
        return paste(prior.frame, warped + self.share * (painted - warped), corner)
