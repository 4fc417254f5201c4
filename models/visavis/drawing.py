"""From controls to a frame: geometry, painter and blend in one module that backends can take apart."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.constant import Constant
from models.rig import ANGLES
from models.visavis.fit import FRAME_PX
from models.visavis.geometry import PATCH_PX, Binding, Geometry, Region
from models.visavis.ground import behind, lay
from models.visavis.ict import Shape, person
from models.visavis.matte import MATTE_PX
from models.visavis.own_mouth import covered, shaded, view
from models.visavis.rectangles import cells
from models.visavis.renderer import DETAIL, IdentityEncoder, PatchNet, carry, condition, inner
from models.visavis.sampling import finer

_FEATHER_PX: Final = 6.0


@dataclass(frozen=True)
class Faces:
    """Identities as the drawing wants them, a row per stream.

    Attributes:
        photo: The frame of the photo with its margin, its mouth `covered`, by `finer`, [B, 3, 640 d, 640 d], -1 to 1.
        own_mouth: What `view` gave of it before it was covered, [B, 3, 144 d, 192 d].
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
    own_mouth: Tensor
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
    moving: Tensor | None = None,
) -> Faces:
    """All that depends on photos alone: [B, 3, 320 d, 320 d], -1 to 1, mattes, and fits in frame pixels, a row each.

    `moving` as for `Geometry.bind`.
    """
    own = F.pad(shape.expression - shape.rest, (0, len(ANGLES)))
    binding = geometry.bind(shape, own, moving)
    fine, coarse = encoder(inner(torch.cat([photo, binding.mouth], 1)))
    base = person(geometry.rig, shape)
    fine_photo = finer(covered(photo, binding.mouth))
    own_mouth = view(finer(photo), binding.teeth)
    skin = geometry.predict(fine_photo, binding, shape, own, base).coverage
    matte = torch.maximum(matte, F.pad(skin, [(MATTE_PX - skin.shape[-1]) // 2] * 4))  # a face is no background
    return Faces(fine_photo, own_mouth, fine, coarse, base, own, matte, behind(photo, matte), shape, binding)


_PLAIN: Final = ("photo", "own_mouth", "fine", "coarse", "base", "own", "matte", "ground")
FACES: Final = (
    *_PLAIN,
    *(f"shape.{field.name}" for field in fields(Shape)),
    *(f"binding.{field.name}" for field in fields(Binding)),
)
"""Names of all tensors of `Faces`."""


class Rigged(nn.Module):
    """All of a frame but what is painted: where the rig carries the photo, and what there is to paint on.

    Computed in float32: a tenth of a pixel is more than bfloat16 or float16 can tell.
    """

    def __init__(self, geometry: Geometry, regions: tuple[Region, ...]) -> None:
        super().__init__()
        self.geometry, self.regions = geometry, regions

    def forward(self, controls: Tensor, *faces: Tensor) -> tuple[Tensor, ...]:
        """Pose faces.

        Args:
            controls: Relative to rest, [B, 57].
            faces: The tensors of `FACES`.

        Returns:
            The warped frames, [B, 3, 256 d, 256 d], -1 to 1; what steers the painter, [B, 109]; then for each region
            the patch's upper left pixel, [B, 2] (x, y), int64, frame px, and the first four arguments of `PatchNet`.
        """
        face = Faces.from_tensors(dict(zip(FACES, faces, strict=True)))
        prior = self.geometry.predict(face.photo, face.binding, face.shape, controls, face.base)
        prior = replace(prior, frame=lay(prior, face.matte, face.ground))  # a patch must show what lies around it
        parts = [prior.frame, condition(face.shape, face.own, controls)]
        for region in self.regions:
            patch = self.geometry.patch(face.photo, face.own_mouth, face.binding, prior, region)
            parts += [patch.corner, patch.fine, patch.coarse, *carry(face.fine, face.coarse, patch.at)]
        return tuple(parts)


class Painter(nn.Module):
    """`PatchNet.paint` and the seam of closed lips as a module."""

    def __init__(self, net: PatchNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, fine: Tensor, *others: Tensor) -> Tensor:
        """See `PatchNet.paint`."""
        return shaded(self.net.paint(fine, *others), fine[:, 6:7], fine[:, 8:9], self.net.fold // 2)


class Drawing(nn.Module):
    """From controls to frames: `rigged`, then each region painted and blended in.

    The parts have names because backends take them apart: only `painter` may be computed in less than float32, and
    exported, writing a patch into a frame costs ten times as much.
    """

    def __init__(self, geometry: Geometry, net: PatchNet, *, lids: bool = True) -> None:
        """With `lids` the eyes are painted too."""
        super().__init__()
        self.rigged = Rigged(geometry, ("mouth", "eyes") if lids else ("mouth",))
        self.painter = Painter(net)

    def forward(self, controls: Tensor, *faces: Tensor) -> Tensor:
        """The arguments of `Rigged.forward` to frames, [B, 3, 256 d, 256 d], about -1 to 1."""
        frames, steer, *patches = self.rigged(controls, *faces)
        for corner, *maps in per_region(patches):
            frames = blend(frames, self.painter(*maps, steer), corner)
        return frames


def per_region(patches: Sequence[Tensor]) -> list[Sequence[Tensor]]:
    """What `Rigged` gives behind the steering, the five tensors of each region together."""
    return [patches[start : start + 5] for start in range(0, len(patches), 5)]


def blend(frames: Tensor, painted: Tensor, corner: Tensor) -> Tensor:
    """Lay painted patches over frames, in place, soft towards their edges.

    Args:
        frames: [B, 3, 256 d, 256 d].
        painted: What `PatchNet` gave, [B, 3, d h, d w].
        corner: Upper left pixels, [B, 2] (x, y), int64, frame px.

    Returns:
        The frames.
    """
    detail = frames.shape[-1] // FRAME_PX
    height, width = painted.shape[2:]
    at = cells(frames, corner * detail, height, width)
    flat = frames.flatten(2)
    mixed = torch.lerp(flat.gather(2, at), painted.flatten(2), _SHARES[height, width].like(painted))
    return flat.scatter_(2, at, mixed).view_as(frames)


def _share(height: int, width: int, feather_px: float) -> Constant:
    """What a painted patch has to say, 0 at its edges to 1, [height * width]."""
    rows, columns = (torch.arange(n) + 0.5 for n in (height, width))
    down, across = torch.minimum(rows, height - rows), torch.minimum(columns, width - columns)
    return Constant((torch.minimum(down[:, None], across[None]) / feather_px).clamp(max=1.0).flatten())


_SHARES: Final = {
    (height * detail, width * detail): _share(height * detail, width * detail, _FEATHER_PX * detail)
    for height, width in PATCH_PX.values()
    for detail in DETAIL.values()
}
