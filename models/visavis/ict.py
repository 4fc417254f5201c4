"""The 3D face that visavis fits to a photo and moves: a reduced ICT-FaceKit.

The mesh, its identity modes and its expressions come from ICT-FaceKit (github.com/ICT-VGL/ICT-FaceKit), Copyright 2020
USC Institute for Creative Technologies, MIT licence; `models.training.build_rig` thins it out. The rig's own frame is
in centimetres: x to the person's left (the picture's right), y up, z towards the viewer.
"""

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from models.constant import Constant
from models.rig import BLENDSHAPES, CONTROLS, INDEX
from models.visavis.tensor_fields import TensorFields

RIG_FILE: Final = Path(__file__).parent / "weights" / "rig.safetensors"
NECK_CM: Final = (0.0, -12.0, -2.0)
"""The head turns about the base of the neck, so shoulders stay where they are."""

LID_GAZE_DEG: Final = 30.0
"""Eyeball turn that goes with an eyeLook shape at 1."""

BLINK: Final = (INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"])
MOUTH: Final = slice(INDEX["jawForward"], INDEX["mouthUpperUpRight"] + 1)
"""Where the shapes of jaw and lips lie in a control vector."""
HEAD: Final = slice(INDEX["headYaw"], INDEX["headRoll"] + 1)
"""Where yaw, pitch and roll of the head lie in a control vector."""

_CONTOURS: Final = ("inner_lip", "mouth_hole", "eye_left", "eye_right", "iris_left", "iris_right")


_NECK: Final = Constant(torch.tensor(NECK_CM))
_FLIP: Final = Constant(torch.tensor([1.0, -1.0, 1.0]))  # to y down
# Rotations about x, y and z: what stays, what goes with the cosine and what with the sine of yaw, pitch and roll.
_TURNS: Final = Constant(
    torch.tensor(
        [
            [[[0, 0, 0], [0, 1, 0], [0, 0, 0]], [[1, 0, 0], [0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0], [0, 0, 1]]],
            [[[1, 0, 0], [0, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 0], [0, 0, 0]]],
            [
                [[0, 0, 1], [0, 0, 0], [-1, 0, 0]],
                [[0, 0, 0], [0, 0, 1], [0, -1, 0]],
                [[0, 1, 0], [-1, 0, 0], [0, 0, 0]],
            ],
        ],
        dtype=torch.float32,
    )
)

_LOOKS: Final = {"Up": ("gazePitch", 1), "Down": ("gazePitch", -1), "Out": ("gazeYaw", 1), "In": ("gazeYaw", -1)}
# of the left eye; the right eye's out and in are mirrored


def _eye_tables() -> tuple[Constant, Constant, Constant, Constant]:
    """What eyes and lids have to do with each other, as matrices.

    Returns:
        The blink shape of each eye, [2, 52]; the eyeLook shapes of each eye, [2, 52]; how the controls move the lids
        through the eyeLook shapes, [57, 52]; how they turn the eyeballs, [57, 4] (yaw, pitch of left, then right).
    """
    blink, lids = torch.zeros(2, len(BLENDSHAPES)), torch.zeros(2, len(BLENDSHAPES))
    follow, gaze = torch.zeros(len(CONTROLS), len(BLENDSHAPES)), torch.zeros(len(CONTROLS), 4)
    for eye, side in enumerate(("Left", "Right")):
        blink[eye, BLINK[eye]] = 1.0
        for axis, name in enumerate(("gazeYaw", "gazePitch")):
            gaze[INDEX[name], 2 * eye + axis] = 1.0
        for look, (name, sign) in _LOOKS.items():
            way = -sign if eye == 1 and name == "gazeYaw" else sign
            shape = INDEX[f"eyeLook{look}{side}"]
            lids[eye, shape] = 1.0
            follow[INDEX[name], shape] = way / LID_GAZE_DEG
            gaze[shape, 2 * eye + (name == "gazePitch")] = way * LID_GAZE_DEG
    return Constant(blink), Constant(lids), Constant(follow), Constant(gaze)


_BLINKS, _LIDS, _FOLLOW, _GAZE = _eye_tables()


class Part(IntEnum):
    """What a vertex belongs to."""

    FACE = 0
    SOCKET = 1
    GUMS = 2
    TEETH = 3
    SCLERA_L = 4
    IRIS_L = 5
    SCLERA_R = 6
    IRIS_R = 7


@dataclass(frozen=True)
class Rig:
    """The mesh and how it varies; V vertices, T triangles. Left is the person's left.

    Attributes:
        neutral: Mean face, [V, 3], float32, cm.
        identity: What makes one face another's, [60, V, 3], cm per standard deviation.
        expression: The shapes of `models.rig.BLENDSHAPES` in that order, [52, V, 3], cm at weight 1.
        triangles: Vertex triples, [T, 3], int64, anticlockwise seen from outside.
        part: `Part` of each vertex, [V], int8.
        with_jaw: True where `jawOpen` moves the vertex (lower teeth, gums, tongue, chin), [V], bool.
        eye_centre: Middles of the left and right eyeball of the mean face, [2, 3], cm.
        eye_identity: How the identity modes move those, [60, 2, 3].
        landmarks68: The 68 Multi-PIE points, [68], int64.
        inner_lip: Closed chain where the lips meet: upper lip from the picture's left corner to the right one, then
            the lower lip back, [74].
        mouth_hole: Closed chain on the hole of the face mesh, some 5 mm behind the lip line, [74].
        eye_left: Closed chain along the lids' rims from the picture's left corner over the upper lid, [46].
        eye_right: The same for the other eye.
        iris_left: Closed chain on the iris's rim, [about 24].
        iris_right: The same for the other eye.
    """

    neutral: Tensor
    identity: Tensor
    expression: Tensor
    triangles: Tensor
    part: Tensor
    with_jaw: Tensor
    eye_centre: Tensor
    eye_identity: Tensor
    landmarks68: Tensor
    inner_lip: Tensor
    mouth_hole: Tensor
    eye_left: Tensor
    eye_right: Tensor
    iris_left: Tensor
    iris_right: Tensor

    @classmethod
    def load(cls, path: Path = RIG_FILE) -> "Rig":
        """Read a rig file (float16 inside) as float32 and int64; one copy is shared by all callers."""
        return _load(path)

    def to(self, device: torch.device) -> "Rig":
        """The same rig on another device."""
        rig = Rig(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})
        # looked for on a GPU, they would stop whoever records a graph there
        rig.__dict__["eyeballs"] = tuple(ball.to(device) for ball in self.eyeballs)
        return rig

    @cached_property
    def eyeballs(self) -> tuple[Tensor, Tensor]:
        """Vertices of the left and the right eyeball, int64."""
        left = (self.part == Part.SCLERA_L) | (self.part == Part.IRIS_L)
        right = (self.part == Part.SCLERA_R) | (self.part == Part.IRIS_R)
        return torch.nonzero(left).squeeze(1), torch.nonzero(right).squeeze(1)

    def subset(self, vertices: Tensor) -> "Rig":
        """The same rig with only these vertices [N] in this order, so that `pose` is as fast as it can be.

        Triangles and chains that need a missing vertex are left out (empty). A vertex may be named only once.
        """
        place = torch.full((len(self.neutral),), -1)
        place[vertices] = torch.arange(len(vertices))

        def chain(old: Tensor) -> Tensor:
            new = place[old]
            return new if bool((new >= 0).all()) else new[:0]

        triangles = place[self.triangles]
        return replace(
            self,
            neutral=self.neutral[vertices],
            identity=self.identity[:, vertices].contiguous(),
            expression=self.expression[:, vertices].contiguous(),
            triangles=triangles[(triangles >= 0).all(1)],
            part=self.part[vertices],
            with_jaw=self.with_jaw[vertices],
            landmarks68=chain(self.landmarks68),
            **{name: chain(getattr(self, name)) for name in _CONTOURS},
        )


@cache
def _load(path: Path) -> Rig:
    tensors = load_file(path)
    wide = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    wide |= {name: t.long() for name, t in tensors.items() if t.dtype == torch.int16}
    return Rig(**wide)


@dataclass(frozen=True)
class Shape(TensorFields):
    """One person's fit: who they are, how they look in the photo, and where. All float32; a leading batch may stand.

    Attributes:
        identity: Weights of `Rig.identity`, [60].
        expression: The photo's own expression, [52], 0 to about 1.
        rest: The expression that control 0 stands for: the photo's own with the mouth closed and the smile taken out,
            [52]. Small negative values occur: they make the lips meet.
        angles_deg: The photo's own head yaw, pitch and roll, [3], signs as in `models.rig`.
        scale_px_per_cm: Scalar, [].
        centre_px: Where the base of the neck (`NECK_CM`) lies in the picture, [2], x right, y down.
        gaze_deg: The photo's own gaze of the left and right eye, yaw and pitch, relative to the head, [2, 2].
        blink_gain: What the blink shapes (left, right) are multiplied by so that control 1 just closes the lids, [2].
        residual_cm: Mean distance of the fitted from the given points without the jaw line, [].
    """

    identity: Tensor
    expression: Tensor
    rest: Tensor
    angles_deg: Tensor
    scale_px_per_cm: Tensor
    centre_px: Tensor
    gaze_deg: Tensor
    blink_gain: Tensor
    residual_cm: Tensor


def mean_shape() -> Shape:
    """The mean face at rest, looking out of a 256 px frame 25 cm wide, as a batch of one."""
    zeros = torch.zeros
    return Shape(
        identity=zeros(1, 60),
        expression=zeros(1, len(BLENDSHAPES)),
        rest=zeros(1, len(BLENDSHAPES)),
        angles_deg=zeros(1, 3),
        scale_px_per_cm=torch.tensor([10.24]),
        centre_px=torch.tensor([[128.0, 276.5]]),
        gaze_deg=zeros(1, 2, 2),
        blink_gain=torch.ones(1, 2),
        residual_cm=zeros(1),
    )


def rotation(angles_deg: Tensor) -> Tensor:
    """Rotation matrices [..., 3, 3] from yaw, pitch, roll [..., 3] with the signs of `models.rig`.

    Yaw first, then pitch, then roll, in the rig's frame (y up): a positive yaw turns the face to the picture's right,
    a positive pitch lifts the chin, a positive roll tilts the head clockwise.
    """
    angles = (angles_deg * (torch.pi / 180.0))[..., None, None]
    still, cosine, sine = _TURNS.like(angles)
    turn, nod, tilt = (still + angles.cos() * cosine + angles.sin() * sine).unbind(-3)
    return tilt @ nod @ turn


def _rows(values: Tensor) -> Tensor:
    """[n] or [B, n] as [B, n]."""
    return values.reshape(-1, values.shape[-1])


def person(rig: Rig, shape: Shape) -> Tensor:
    """The person's face without any expression, [B, V, 3] cm; pass it to `pose` to save that work in every frame."""
    identity = _rows(shape.identity)
    return rig.neutral + (identity @ rig.identity.flatten(1)).unflatten(-1, (-1, 3))


def eye_centres(rig: Rig, shape: Shape) -> Tensor:
    """Middles of the person's left and right eyeball in the rig's frame, [B, 2, 3] cm."""
    return rig.eye_centre + torch.einsum("bk,kec->bec", _rows(shape.identity), rig.eye_identity)


def blinks(shape: Shape, controls: Tensor) -> Tensor:
    """Weights of the left and right blink shape for controls [B, 57], [B, 2]."""
    return _rows(shape.blink_gain) * _shut(controls)


def weights(shape: Shape, controls: Tensor) -> Tensor:
    """Expression weights [B, 52] for controls [B, 57]: rest plus controls, lids that follow the gaze, full blinks.

    The lids are lifted and lowered by the gaze only as far as the eye is open, so a blink closes whatever the gaze.
    """
    blink, lids, follow = (table.like(controls) for table in (_BLINKS, _LIDS, _FOLLOW))
    asked = controls[:, : len(BLENDSHAPES)] * (1.0 - blink.sum(0)) + blinks(shape, controls) @ blink
    followed = asked + (controls @ follow).clamp(min=0.0)
    return _rows(shape.rest) + followed * (1.0 - _shut(controls) @ lids)


def _shut(controls: Tensor) -> Tensor:
    """How far the left and the right eye are asked to shut, [B, 2], 0 to 1."""
    return torch.stack([controls[:, blink] for blink in BLINK], 1).clamp(0.0, 1.0)


def gaze(shape: Shape, controls: Tensor) -> Tensor:
    """Where the eyeballs look, [B, 2, 2] degrees (left and right; yaw and pitch): the photo's own plus the controls.

    The eyeLook blendshapes turn the eyeballs too, `LID_GAZE_DEG` at weight 1, as ARKit means them.
    """
    own = shape.gaze_deg if shape.gaze_deg.dim() == 3 else shape.gaze_deg[None]
    return own + (controls @ _GAZE.like(controls)).unflatten(1, (2, 2))


def pose(rig: Rig, shape: Shape, controls: Tensor, base: Tensor | None = None) -> Tensor:
    """Move one person's face: weak perspective, in the pixels of the photo (or frame) that `shape` belongs to.

    Args:
        rig: The mesh, or a `Rig.subset` of it.
        shape: One person, or a row per row of `controls`.
        controls: What to do relative to the person at rest, [B, 57], as in `models.rig`; 0 is lips closed in the
            photo's own pose and gaze. Not clamped.
        base: What `person(rig, shape)` gave, if kept.

    Returns:
        Vertices, [B, V, 3], px: x right, y down, z towards the viewer (0 at the base of the neck).
    """
    base = person(rig, shape) if base is None else base
    vertices = base + (weights(shape, controls) @ rig.expression.flatten(1)).unflatten(-1, (-1, 3))
    for eye, ball in enumerate(rig.eyeballs):
        if len(ball):
            vertices[:, ball] = turn_eyes(rig, shape, controls, base[:, None, ball])[:, eye]
    return turn_head(shape, controls, vertices)


def turn_eyes(rig: Rig, shape: Shape, controls: Tensor, points: Tensor) -> Tensor:
    """Points that sit in the left and in the right eyeball, [B, 2, N, 3] cm (or [B, 1, N, 3] for both), as it looks."""
    centres = eye_centres(rig, shape)[:, :, None]
    turned = rotation(functional.pad(gaze(shape, controls), (0, 1)))
    return (points - centres) @ turned.transpose(-1, -2) + centres


def turn_head(shape: Shape, controls: Tensor, points: Tensor) -> Tensor:
    """Points of the rig's frame [B, N, 3] under the head's pose, in px like `pose`'s."""
    angles = _rows(shape.angles_deg) + controls[:, HEAD]
    neck, flip = _NECK.like(points), _FLIP.like(points)
    to_px = shape.scale_px_per_cm.reshape(-1, 1, 1) * flip
    centre_px = functional.pad(_rows(shape.centre_px), (0, 1))[:, None]
    return ((points - neck) @ rotation(angles).transpose(-1, -2)) * to_px + centre_px
