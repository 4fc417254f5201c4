"""What the rig knows of a frame before any network: where every pixel of the photo goes, and which openings appear.

The posed mesh is splatted, not rasterised: each vertex carries its way back to the photo onto a half-resolution grid,
nearer surfaces outweigh farther ones, gaps are filled from coarser grids. Background and hair lie under it: a smooth
field that follows the nearest skin and fades out. All of it is batched tensor code without loops over vertices.
"""

from copy import copy
from dataclasses import dataclass
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.bilinear import enlarged
from kernels.flow_warp import flow_warp
from kernels.splat import splat
from models.constant import Constant
from models.visavis.ict import HEAD, Part, Rig, Shape, pose, rotation, turn_eyes, turn_head
from models.visavis.own_mouth import TEETH_TO_MIDDLE, look
from models.visavis.polygon import signed_distance
from models.visavis.rectangles import Size, around, cut, paste
from models.visavis.renderer import FRAME_PX, MARGIN_PX, PHOTO_PX
from models.visavis.sampling import pixels, positions, sample
from models.visavis.surface import closed, fill, in_front, nearness
from models.visavis.tensor_fields import TensorFields

Region = Literal["mouth", "eyes"]

PATCH_PX: Final[dict[Region, Size]] = {"mouth": (56, 80), "eyes": (48, 120)}
"""Height and width of the patch that is painted around each region; multiples of 8."""

_GRID: Final = FRAME_PX // 2
_FOLLOW_CM: Final = 4.0  # how far from the skin the background still follows it
_STILL_PX: Final = 6.0  # the edge of a pasted frame that stands still: its feather, and a cell more
_GIVE_PX: Final = (8.0, 4.0, 8.0, 16.0)  # so far on it moves freely: hair ends close above, necks go on below
_NODES: Final = 33  # background nodes along a side
_UNDER: Final = 0.25  # the background's coverage of cells without skin
_EDGE_GAIN: Final = 3.0  # how quickly skin gives way to what lies under it
_SETTLE: Final = 6  # steps until a cell knows where in the background it comes from
_NODE_SPAN: Final = 1.3  # the node grid's half-width in half frames
_ANCHOR_STRIDE: Final = 32  # every n-th skin vertex pulls the background
_MOUTH_BOX: Final = (40, 44)  # half-resolution rows and columns that hold any mouth
_EYE_BOX: Final = (18, 24)
_DARK_PX: Final = 22.0  # so far behind the front teeth it is dark: 2 cm
_BETWEEN: Final = 0.15  # what a cell of the mouth takes from its neighbours
_DENSE: Final = 2.0  # vertices or parts of them in a cell, times this, that cover it
_FACING_GAIN: Final = 8.0
_EARS_CM: Final = (0.0, 2.0)  # how far forward, z, skin at the sides begins and is all there: behind it lie the ears
_SIDE_CM: Final = 5.0
_NECK_CM: Final = (-11.5, -9.5)  # the same for how far up, y: below, the mesh is too sparse to be a surface
_MOUTH_COLOURS: Final = Constant(  # cavity, teeth, gums and tongue
    torch.tensor([[0.16, 0.06, 0.06], [0.90, 0.83, 0.74], [0.45, 0.20, 0.20]])[:, :, None, None]
)
_SOFT_PX: Final = 4.0  # width of the ramp in which an opening's edge is told


@dataclass(frozen=True)
class Binding(TensorFields):
    """How one photo hangs on the rig: where it was taken from, a row per identity; computed once at enrolment.

    Attributes:
        skin: Where the photo shows each skin vertex, [B, Nf, 2], frame px.
        facing: How much each skin vertex faces the camera there, [B, Nf], 0 (away) to 1.
        attach: Pull of each anchor vertex on each background node, rows sum to 1, [B, G, A].
        follow: How much of that pull a node obeys, [B, G], 0 to 1.
        free: How freely each half-resolution cell of the frame may move, [B, 1, 128, 128], 0 (not at all) to 1.
        iris: Centres of the irises in the photo, [B, 2, 2], frame px.
        teeth: Middle of the upper teeth in the photo, [B, 2], frame px.
        mouth: The photo's own mouth opening, [B, 1, 320 d, 320 d], -1 (outside) to 1 (inside).
    """

    skin: Tensor
    facing: Tensor
    attach: Tensor
    follow: Tensor
    free: Tensor
    iris: Tensor
    teeth: Tensor
    mouth: Tensor


@dataclass(frozen=True)
class Prior:
    """The rig's first answer for one frame, a row per stream.

    Attributes:
        frame: The photo carried to the new pose, [B, 3, 256 d, 256 d], -1 to 1.
        front: Its skin alone, same shape, carried on beyond the skin's edges.
        under: What lies under the skin alone, same shape.
        shown: How much of the skin shows, [B, 1, 256 d, 256 d], 0 to 1.
        way: Offset of each half-resolution cell to its place in the photo, [B, 2, 128, 128] (x, y), px.
        way_under: The same for what lies under the skin.
        coverage: How densely skin covers each cell, [B, 1, 128, 128], 0 to 1.
        openings: Mouth and eyes, [B, 2, 128, 128], -1 (outside) to 1 (inside).
        inside: Gums and teeth as posed, [B, Ni, 3], px.
        teeth: Middle of the upper teeth, [B, 2], px.
        eyes: Middle between the eyes, [B, 2], px.
    """

    frame: Tensor
    front: Tensor
    under: Tensor
    shown: Tensor
    way: Tensor
    way_under: Tensor
    coverage: Tensor
    openings: Tensor
    inside: Tensor
    teeth: Tensor
    eyes: Tensor


@dataclass(frozen=True)
class Patch:
    """A region of the frame as `PatchNet` wants it, a row per stream; h and w as in `PATCH_PX`.

    Attributes:
        corner: Its upper left pixel in the frame, [B, 2] (x, y), int64, even.
        fine: Full-resolution maps, [B, 9, d h, d w]; a guess fills the open mouth.
        coarse: Half-resolution maps, [B, 8, h / 2, w / 2].
        at: Where each half-resolution pixel comes from, [B, h / 2, w / 2, 2], -1 to 1.
    """

    corner: Tensor
    fine: Tensor
    coarse: Tensor
    at: Tensor


class Geometry:
    """Binds photos to the rig and predicts frames from it. Holds only constants of the rig.

    Places are in frame pixels, 256 along a side; pictures have `detail` d pixels along each of them
    (`models.visavis.renderer.DETAIL`).
    """

    def __init__(self, rig: Rig, detail: int = 1) -> None:
        self._detail = detail
        part = rig.part.long()
        inside = torch.nonzero((part == Part.GUMS) | (part == Part.TEETH)).squeeze(1)
        irises = [torch.nonzero(part == ball).squeeze(1) for ball in (Part.IRIS_L, Part.IRIS_R)]
        skin = torch.nonzero(part == Part.FACE).squeeze(1)
        self.rig = rig.subset(torch.cat([skin, inside]))
        self._iris = torch.stack([rig.neutral[iris].mean(0) for iris in irises])  # [2, 3] cm
        self._iris_identity = torch.stack([rig.identity[:, iris].mean(1) for iris in irises], 1)  # [60, 2, 3]
        part = self.rig.part.long()
        self._skin = slice(0, len(skin))
        self._inside = slice(len(skin), len(skin) + len(inside))
        self._anchors = torch.arange(0, len(skin), _ANCHOR_STRIDE)
        teeth, jaw = part[self._inside] == Part.TEETH, self.rig.with_jaw[self._inside]
        self._upper_teeth = torch.nonzero(teeth & ~jaw).squeeze(1) + len(skin)
        normals = _normals(self.rig)
        self._skin_normals, normal = normals[self._skin], normals[self._inside]
        self._skin_share = _dense(self.rig.neutral[self._skin])
        self._inside_values = torch.stack(
            [(teeth & ~jaw).float(), (teeth & jaw).float(), (~teeth).float(), normal[:, 0], normal[:, 2]]
        )  # [5, Ni]
        side = torch.linspace(-_NODE_SPAN, _NODE_SPAN, _NODES) * (FRAME_PX / 2) + FRAME_PX / 2
        rows, columns = torch.meshgrid(side, side, indexing="ij")
        self._nodes = torch.stack([columns, rows], -1).view(-1, 2)  # [G, 2]
        every = pixels(FRAME_PX, FRAME_PX)
        self._cells, self._quarter = every[::2, ::2] + 0.5, every[::4, ::4] + 1.5

    def to(self, device: torch.device) -> "Geometry":
        """The same geometry on another device; what runs there neither waits for the host nor copies from it."""
        moved = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor | Rig):
                setattr(moved, name, value.to(device))
        return moved

    def bind(self, shape: Shape, controls: Tensor, moving: Tensor | None = None) -> Binding:
        """Hang photos on the rig.

        Args:
            shape: A person per row, in frame pixels.
            controls: What the photo shows relative to rest, [B, 57] (`expression - rest` for a fitted photo).
            moving: Where the frame may move (x0, y0, x1, y1), [B, 4], frame px: beyond, and some pixels inside, not
                even skin does, so that the frame can be pasted back without a seam. Without it it moves everywhere.
        """
        posed = pose(self.rig, shape, controls)
        skin = posed[:, self._skin, :2]
        gap = torch.cdist(self._nodes.expand(len(skin), -1, -1), skin[:, self._anchors])  # [B, G, A] px
        gap = gap / shape.scale_px_per_cm.reshape(-1, 1, 1)
        attach = 1.0 / (gap.square() + 0.15).square()
        beyond = (gap.amin(2) - 0.4).clamp(min=0.0) / _FOLLOW_CM
        mouth = self._opening(posed[:, self.rig.inner_lip[::2], :2], _MOUTH_BOX)
        return Binding(
            skin,
            self._facing(shape, controls),
            attach / attach.sum(2, keepdim=True),
            1.0 / (1.0 + beyond.square()),
            self._free(moving, len(skin)),
            self._iris_middles(shape, controls),
            posed[:, self._upper_teeth, :2].mean(1),
            F.pad(
                enlarged(mouth, 2 * self._detail),
                [MARGIN_PX * self._detail] * 4,
                value=-1.0,
            ),
        )

    def predict(self, photo: Tensor, binding: Binding, shape: Shape, controls: Tensor, base: Tensor) -> Prior:
        """Carry photos to where the controls want them.

        Args:
            photo: The frames that were bound, with margins, `covered`, by `finer`, [B, 3, 640 d, 640 d], -1 to 1.
            binding: What `bind` gave.
            shape: The persons.
            controls: Relative to rest, [B, 57].
            base: What `person(geometry.rig, shape)` gave.
        """
        posed = pose(self.rig, shape, controls, base)
        skin, way_under, share, coverage = self._ways_back(binding, posed, self._facing(shape, controls))
        eyes, skin = self._turn_eyes(skin, posed, binding.iris - self._iris_middles(shape, controls))
        skin, way_under = skin * binding.free, way_under * binding.free
        front, under = self._carried(photo, skin), self._carried(photo, way_under)
        shown = enlarged(share, 2 * self._detail)
        mouth = self._opening(posed[:, self.rig.inner_lip[::2], :2], _MOUTH_BOX)
        return Prior(
            torch.lerp(under, front, shown),
            front,
            under,
            shown,
            torch.lerp(way_under, skin, share),
            way_under,
            coverage,
            torch.cat([mouth, eyes], 1),
            posed[:, self._inside],
            posed[:, self._upper_teeth, :2].mean(1),
            posed[:, torch.cat([self.rig.eye_left, self.rig.eye_right]), :2].mean(1),
        )

    def patch(self, photo: Tensor, own_mouth: Tensor, binding: Binding, prior: Prior, region: Region) -> Patch:
        """Cut out what is to be painted.

        Args:
            photo: As `predict` had it.
            own_mouth: What `models.visavis.own_mouth.view` gave of the photo that is not covered.
            binding: As `predict` had it.
            prior: Its answer.
            region: Which part of the face.
        """
        detail = self._detail
        height, width = PATCH_PX[region]
        middle = prior.eyes if region == "eyes" else prior.teeth + TEETH_TO_MIDDLE.like(prior.teeth)
        corner = around(middle, (height, width), FRAME_PX, step=2)

        where = pixels(height, width, detail, middle.device) + (corner + binding.teeth - prior.teeth)[:, None, None]
        in_photo = (where + (MARGIN_PX + 0.5)) / (PHOTO_PX / 2) - 1.0
        half = torch.cat([prior.openings, prior.coverage, prior.way / 16.0, positions(prior.way)], 1)
        openings, coverage, way, at = cut(half, corner // 2, height // 2, width // 2).split((2, 1, 2, 2), dim=1)
        openings = enlarged(openings, 2 * detail)
        warped = cut(prior.frame, corner * detail, height * detail, width * detail)
        if region == "mouth":
            interior, light = self._mouth_interior(prior.inside, corner, (height // 2, width // 2)).split((5, 1), dim=1)
            guess = _mouth_colour(interior, light, photo, detail)
            warped = warped + (openings[:, :1] * 2.0 + 0.5).clamp(0.0, 1.0) * (guess - warped)
            own = look(own_mouth, binding.teeth, where)
        else:
            own = sample(photo, in_photo)
            interior = warped.new_zeros(len(warped), len(self._inside_values), height // 2, width // 2)
        fine = torch.cat([warped, own, openings, sample(binding.mouth, in_photo)], 1)
        return Patch(corner, fine, torch.cat([interior, coverage, way], 1), at.permute(0, 2, 3, 1))

    def _carried(self, photo: Tensor, way: Tensor) -> Tensor:
        """The photo as seen through offsets [B, 2, 128, 128], [B, 3, 256 d, 256 d]."""
        at, side = positions(way) * (FRAME_PX / PHOTO_PX), FRAME_PX * self._detail
        return flow_warp(photo.contiguous(), at.contiguous(), size=(side, side), padding="border")

    def _free(self, moving: Tensor | None, batch: int) -> Tensor:
        """`Binding.free`: steps up to 1 from `_STILL_PX` inside the rectangle on, each edge's by its `_GIVE_PX`."""
        if moving is None:
            return torch.ones(batch, 1, _GRID, _GRID)
        shares = (_inside(self._cells, moving[:, None, None]) - _STILL_PX) / torch.tensor(_GIVE_PX)
        return shares.amin(-1).clamp(0.0, 1.0)[:, None]

    def _facing(self, shape: Shape, controls: Tensor) -> Tensor:
        """How much each skin vertex faces the camera, [B, Nf], 0 to 1, by the normals of the neutral face.

        Ears count as turned away: where hair hides them the mesh would tear it, so they move as hair does. So does the
        neck: collars hide it.
        """
        turn = rotation(shape.angles_deg + controls[:, HEAD])
        return (turn[:, 2] @ self._skin_normals.T).clamp(0.0, 1.0) * self._skin_share

    def _ways_back(self, binding: Binding, posed: Tensor, facing: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Offsets to the photo of the skin and of what lies under it, [B, 2, 128, 128] px each.

        How much of the skin shows in each cell, and how densely it covers it, [B, 1, 128, 128] each, 0 to 1.
        """
        skin = posed[:, self._skin]
        back = binding.skin - skin[..., :2]  # [B, Nf, 2]
        seen = binding.facing * facing  # what turns away now, or did in the photo, tells nothing
        weight = (nearness(skin) * seen)[:, None]
        present, here = ((share * _FACING_GAIN).clamp(max=1.0)[:, None] for share in (seen, facing))
        values = torch.cat([back.transpose(1, 2) * weight, weight, present, here], 1)
        sums = splat((skin[..., :2] - 0.5) / 2.0, values, _GRID, _GRID)
        coverage = sums[:, 3:4].clamp(max=1.0) * in_front(sums[:, 2:3])
        mean = sums[:, :2] / sums[:, 2:3].clamp(min=1e-20)
        under = self._background(binding, back)
        skin_here = F.interpolate(closed(F.max_pool2d(sums[:, 4:], 2)), scale_factor=2.0, mode="nearest")
        density = coverage + _UNDER * (1.0 - skin_here.clamp(max=1.0))
        share = ((fill(coverage, density) - 0.5) * _EDGE_GAIN + 0.5).clamp(0.0, 1.0)
        return fill(mean * coverage, coverage), under, share, coverage

    def _background(self, binding: Binding, back: Tensor) -> Tensor:
        """Offsets of background and hair to the photo, [B, 2, 128, 128] px, given the skin's, [B, Nf, 2]."""
        moved = torch.bmm(binding.attach, back[:, self._anchors]) * binding.follow[..., None]
        nodes = moved.transpose(1, 2).unflatten(2, (_NODES, _NODES))  # known by where they lie in the photo
        span = _NODE_SPAN * FRAME_PX / 2
        places = (self._quarter - FRAME_PX / 2) / span  # of every second cell: the field is smooth
        way = nodes.new_zeros(len(nodes), 2, _GRID // 2, _GRID // 2)
        for _ in range(_SETTLE):
            at = places + way.permute(0, 2, 3, 1) / span
            way = F.grid_sample(nodes, at, padding_mode="border", align_corners=True)
        return enlarged(way, 2)

    def _iris_middles(self, shape: Shape, controls: Tensor) -> Tensor:
        """Middles of the left and right iris, [B, 2, 2], px."""
        middles = self._iris + torch.einsum("bk,kec->bec", shape.identity, self._iris_identity)
        looking = turn_eyes(self.rig, shape, controls, middles[:, :, None])[:, :, 0]
        return turn_head(shape, controls, looking)[..., :2]

    def _turn_eyes(self, way: Tensor, posed: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        """Inside the eye openings everything moves with the iris: its `shift` to the photo, [B, 2, 2] px.

        The openings, [B, 1, 128, 128], and the new offsets.
        """
        soft: list[Tensor] = []
        for eye, outline in enumerate((self.rig.eye_left, self.rig.eye_right)):
            opening = self._opening(posed[:, outline[::2], :2], _EYE_BOX)
            share = ((opening + 0.25) * 4.0).clamp(0.0, 1.0)
            way = way + share * (shift[:, eye, :, None, None] - way)
            soft.append(opening)
        return torch.maximum(*soft), way

    def _opening(self, outline: Tensor, box: Size) -> Tensor:
        """Signed distance to an outline [B, E, 2] (frame px), squashed to -1 to 1, [B, 1, 128, 128].

        The distance is worked out in the box of half-resolution cells around the outline; the rest is outside.
        """
        corner = around(outline.mean(1) / 2, box, _GRID)
        points = self._cells[: box[0], : box[1]].reshape(1, -1, 2) + 2.0 * corner[:, None]
        inside = torch.tanh(signed_distance(points, outline) / _SOFT_PX).view(-1, 1, *box)
        return paste(inside.new_full((len(outline), 1, _GRID, _GRID), -1.0), inside, corner)

    def _mouth_interior(self, inside: Tensor, corner: Tensor, size: Size) -> Tensor:
        """Teeth, gums and tongue as the rig has them, and how much light reaches them, 0 to 1.

        On a patch of half-resolution cells, [B, 6, *size].
        """
        weight = nearness(inside)[:, None]
        back_px = inside[..., 2].amax(1, keepdim=True) - inside[..., 2]
        light = (1.2 - back_px / _DARK_PX).clamp(0.0, 1.0)[:, None]
        values = torch.cat([self._inside_values * weight, light * weight, weight, torch.ones_like(weight)], 1)
        place = (inside[..., :2] - corner[:, None] - 0.5) / 2.0
        sums = splat(place, values, *size)
        sums = sums + _BETWEEN * F.avg_pool2d(sums, 3, 1, 1)  # the mesh is sparser than the cells
        return sums[:, :6] / sums[:, 6:7].clamp(min=1e-20) * (sums[:, 7:] * _DENSE).clamp(max=1.0)


def _inside(points: Tensor, rectangle: Tensor) -> Tensor:
    """How far points [..., 2] lie inside each edge of rectangles [..., 4] (x0, y0, x1, y1), [..., 4], px."""
    return torch.cat([points - rectangle[..., :2], rectangle[..., 2:] - points], -1)


def _mouth_colour(interior: Tensor, reached: Tensor, photo: Tensor, detail: int) -> Tensor:
    """A first guess at the open mouth in the photo's light, [B, 3, 2 d h, 2 d w], -1 to 1, from `_mouth_interior`."""
    side = int(photo.shape[-1])
    row, column = (slice(round(share * side), round((1 - share) * side)) for share in (0.42, 0.388))
    light = (photo[:, :, row, column].mean((1, 2, 3)) * 0.9 + 0.9).clamp(0.4, 1.4)[:, None, None, None]
    shade = (0.55 + 0.45 * interior[:, 4:].clamp(0.0, 1.0)) * reached
    cavity, tooth, flesh = _MOUTH_COLOURS.like(photo)
    soft = cavity + interior[:, 2:3] * (flesh * reached - cavity)
    teeth = interior[:, :2].sum(1, keepdim=True).clamp(0.0, 1.0)
    colour = (soft + teeth * (tooth * shade - soft)) * light
    full = enlarged(colour, 2 * detail)
    return full.clamp(0.0, 1.0) * 2.0 - 1.0


def _normals(rig: Rig) -> Tensor:
    """Vertex normals of the neutral face, [V, 3]."""
    corners = rig.neutral[rig.triangles]  # [T, 3, 3]
    face = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = torch.zeros_like(rig.neutral).index_add_(0, rig.triangles.flatten(), face.repeat_interleave(3, 0))
    return F.normalize(total, dim=1)


def _dense(skin: Tensor) -> Tensor:
    """1 for skin of the neutral face [Nf, 3], fading to 0 towards ears and neck, [Nf]."""
    forward, up = (
        ((skin[:, axis] - begin) / (whole - begin)).clamp(0.0, 1.0)
        for axis, (begin, whole) in ((2, _EARS_CM), (1, _NECK_CM))
    )
    return torch.where(skin[:, 0].abs() > _SIDE_CM, forward, 1.0) * up
