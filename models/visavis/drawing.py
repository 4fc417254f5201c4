"""From controls to a frame: geometry and painter in one module that can be exported, and the blend."""

from dataclasses import dataclass, fields
from functools import cache
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.rig import ANGLES
from models.visavis.fit import FRAME_PX
from models.visavis.geometry import Binding, Geometry, Region
from models.visavis.ground import behind, lay
from models.visavis.ict import Shape, person
from models.visavis.matte import MATTE_PX
from models.visavis.renderer import IdentityEncoder, PatchNet, condition, inner

_FEATHER_PX: Final = 6.0


@dataclass(frozen=True)
class Faces:
    """Identities as the drawing wants them, a row per stream.

    Attributes:
        photo: The frame of the photo with its margin, [B, 3, 320 d, 320 d], -1 to 1.
        fine: `IdentityEncoder`'s finer features, [B, 16, 128, 128].
        coarse: Its coarser ones, [B, 32, 64, 64].
        base: What `person(geometry.rig, shape)` gave, [B, V, 3], cm.
        own: What the photo shows relative to rest, [B, 57].
        matte: Where the person is in the photo, [B, 1, 160, 160], 0 to 1.
        ground: The frame without the person, [B, 3, 256 d, 256 d], -1 to 1.
        shape: Who they are, in frame pixels.
        binding: How the photos hang on the rig.
    """

    photo: Tensor
    fine: Tensor
    coarse: Tensor
    base: Tensor
    own: Tensor
    matte: Tensor
    ground: Tensor
    shape: Shape
    binding: Binding

    def tensors(self) -> dict[str, Tensor]:
        """All fields as a flat dict, in the order of `FACES`."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        return plain | self.shape.tensors("shape.") | self.binding.tensors("binding.")

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "Faces":
        """The inverse of `tensors`."""
        plain = {name: tensors[name] for name in _PLAIN}
        shape, binding = Shape.from_tensors(tensors, "shape."), Binding.from_tensors(tensors, "binding.")
        return cls(**plain, shape=shape, binding=binding)


def hang(
    geometry: Geometry,
    encoder: IdentityEncoder,
    photo: Tensor,
    matte: Tensor,
    shape: Shape,
    valid: Tensor | None = None,
    moving: Tensor | None = None,
) -> Faces:
    """All that depends on photos alone: [B, 3, 320 d, 320 d], -1 to 1, mattes, and fits in frame pixels, a row each.

    `valid` and `moving` as for `Geometry.bind`.
    """
    own = F.pad(shape.expression - shape.rest, (0, len(ANGLES)))
    binding = geometry.bind(shape, own, valid, moving)
    fine, coarse = encoder(inner(torch.cat([photo, binding.mouth], 1)))
    base = person(geometry.rig, shape)
    skin = geometry.predict(photo, binding, shape, own, base).coverage
    matte = torch.maximum(matte, F.pad(skin, [(MATTE_PX - skin.shape[-1]) // 2] * 4))  # a face is no background
    return Faces(photo, fine, coarse, base, own, matte, behind(photo, matte), shape, binding)


_PLAIN: Final = ("photo", "fine", "coarse", "base", "own", "matte", "ground")
FACES: Final = (
    *_PLAIN,
    *(f"shape.{field.name}" for field in fields(Shape)),
    *(f"binding.{field.name}" for field in fields(Binding)),
)
"""Names of all tensors of `Faces`."""


class Drawing(nn.Module):
    """Draws faces under their controls: the rig's warp, and what is painted of the mouth, with `lids` of the eyes too.

    `blend` puts the two together. It is no part of this module: exported, writing a patch costs ten times as much.
    """

    def __init__(self, geometry: Geometry, net: PatchNet, *, lids: bool = True) -> None:
        super().__init__()
        self.geometry, self.net = geometry, net
        self.regions: tuple[Region, ...] = ("mouth", "eyes") if lids else ("mouth",)

    def forward(self, controls: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Draw the parts of each frame.

        Args:
            controls: Relative to rest, [B, 57].
            tensors: Those of `FACES`.

        Returns:
            The warped frames, [B, 3, 256 d, 256 d], -1 to 1; then for each region its painted patch, [B, 3, d h, d w],
            and the patch's upper left pixel, [B, 2] (x, y), int64, frame px.
        """
        faces = Faces.from_tensors(dict(zip(FACES, tensors, strict=True)))
        prior = self.geometry.predict(faces.photo, faces.binding, faces.shape, controls, faces.base)
        steer = condition(faces.shape, faces.own, controls)
        parts = [lay(prior, faces.matte, faces.ground)]
        for region in self.regions:
            patch = self.geometry.patch(faces.photo, faces.binding, prior, region)
            painted = self.net(patch.fine, patch.coarse, faces.fine, faces.coarse, patch.at, steer)
            parts += [painted, patch.corner]
        return tuple(parts)


def blend(frames: Tensor, *patches: Tensor) -> Tensor:
    """Lay painted patches over frames, in place, soft towards their edges; arguments as `Drawing` returns them."""
    detail = frames.shape[-1] // FRAME_PX
    for painted, corner in zip(patches[::2], patches[1::2], strict=True):
        height, width = painted.shape[2:]
        share = _share(height, width, _FEATHER_PX * detail)
        for frame, piece, (x, y) in zip(frames, painted, (corner * detail).tolist(), strict=True):
            frame[:, y : y + height, x : x + width].lerp_(piece, share)
    return frames


@cache
def _share(height: int, width: int, feather_px: float) -> Tensor:
    """What a painted patch has to say, 0 at its edges to 1, [height, width]."""
    rows, columns = (torch.arange(n) + 0.5 for n in (height, width))
    down, across = torch.minimum(rows, height - rows), torch.minimum(columns, width - columns)
    return (torch.minimum(down[:, None], across[None]) / feather_px).clamp(max=1.0)
