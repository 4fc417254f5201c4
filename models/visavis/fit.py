"""Fit the rig to the landmarks of one photo: who it is, which expression, from where; and the frame around the head.

Gauss-Newton with an analytic Jacobian on 68 points and priors on every weight, twice: first identity and expression
together with the shapes held back that would explain a face's form by a grimace, then the expression alone.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.rig import BLENDSHAPES, INDEX
from models.visavis.ict import BLINK, NECK_CM, Rig, Shape, eye_centres, person, rotation

FRAME_PX: Final = 256
FRAME_CM: Final = 25.0
FRAME_CENTRE_CM: Final = (0.0, 2.5, 4.0)
"""The middle of the frame in the rig: 12.5 cm above it end hair, 12.5 cm below it the neck."""

MEDIAPIPE_68: Final = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
"""Where the 68 Multi-PIE points lie in MediaPipe's face mesh of 478."""

MEDIAPIPE_IRISES: Final = (473, 468)
"""MediaPipe's iris centres of the person's left and right eye."""

Box = tuple[float, float, float, float]

_POSE = 6  # yaw, pitch, roll (rad), scale, shift x, shift y
_POINTS_PER_CM = 6.0  # a point's error of 1/6 cm weighs as much as one standard deviation
_IDENTITY_PRIOR = 0.6
_DAMPING = 1.0 + 1e-6  # a turn and a shift look nearly alike: at 1.01 a third of a turn was not found in 12 steps
_IRIS_DEPTH_CM = 1.47
_LID_OVERLAP_CM = 0.05
_GRIMACES = ("mouthRoll", "mouthFunnel", "mouthPucker", "noseSneer", "mouthShrug", "jawForward")
_OPENING = ("mouthUpperUp", "mouthLowerDown", "mouthFunnel", "mouthPucker", "mouthStretch", "mouthDimple", "mouthClose")
_SMILING = ("mouthSmile", "cheekSquint")
_SEAL = ("jawOpen", "mouthShrugLower", "mouthShrugUpper", "mouthLowerDown", "mouthUpperUp", "mouthRoll")


def _columns(*prefixes: str) -> list[int]:
    return [i for i, name in enumerate(BLENDSHAPES) if name.startswith(prefixes)]


def _priors(grimace: float) -> Tensor:
    prior = torch.full((len(BLENDSHAPES),), 1.2, dtype=torch.float64)
    prior[_columns(*_GRIMACES)] = grimace
    prior[_columns("cheekPuff")] = 30.0  # or it takes up how MediaPipe's jaw line differs from the rig's
    prior[_columns("brow", "eyeWide", "eyeSquint", "mouthFrown", "mouthPress")] = 2.0
    prior[_columns("mouthSmile", "jawOpen", "eyeBlink")] = 0.8
    prior[_columns("jawLeft", "jawRight", "mouthLeft", "mouthRight", "eyeLookIn", "eyeLookOut")] = 6.0
    return prior


def _tracking_priors() -> Tensor:
    """With the identity known a grimace is a grimace, and speech opens the mouth by the jaw first."""
    prior = _priors(1.5)
    prior[_columns("jawOpen")] = 0.3
    prior[_columns("mouthLowerDown", "mouthUpperUp", "mouthSmile", "mouthStretch", "mouthPress", "mouthClose")] = 0.7
    prior[_columns("mouthDimple", "mouthFrown", "jawForward", "mouthShrug")] = 3.0
    return prior


def _point_weights(mouth: float) -> Tensor:
    weight = torch.ones(68, dtype=torch.float64)
    weight[:17], weight[17:27], weight[36:48], weight[48:] = 0.35, 0.8, 1.5, mouth
    weight[[62, 66]] *= 1.5  # whether the lips touch
    return weight


def _project(x: Tensor, base: Tensor, modes: Tensor) -> Tensor:
    """Points [B, 68, 2] in px, y down, about the origin of the rig."""
    posed = base + torch.einsum("bm,mpc->bpc", x[:, _POSE:], modes)
    turned = posed @ rotation(torch.rad2deg(x[:, :3])).mT
    return turned[..., :2] * x[:, 3, None, None] * turned.new_tensor([1.0, -1.0]) + x[:, None, 4:6]


def _gauss_newton(
    base: Tensor,
    modes: Tensor,
    prior: Tensor,
    signed: int,
    points: Tensor,
    start: Tensor,
    iterations: int,
    mouth: float = 1.5,
) -> Tensor:
    """Weights of `modes` [M, 68, 3] and pose that bring `base` [68, 3] or [B, 68, 3] onto `points` [B, 68, 2].

    The first `signed` modes may be negative, the others are pushed to 0 and above; `mouth` is the weight of its points.
    Returns [B, 6 + M].
    """
    batch, count = len(points), _POSE + len(modes)
    scale0 = start[:, 3].clone()
    weight = _point_weights(mouth).repeat_interleave(2) * _POINTS_PER_CM / scale0[:, None]  # [B, 136]
    x = torch.cat([start, start.new_zeros(batch, len(modes))], 1)
    diagonal = torch.arange(count)
    flip = points.new_tensor([1.0, -1.0])
    for _ in range(iterations):
        at = _project(x, base, modes)
        jacobian = points.new_zeros(batch, 68, 2, count)
        for angle in range(3):
            moved = x.clone()
            moved[:, angle] += 1e-5
            jacobian[..., angle] = (_project(moved, base, modes) - at) / 1e-5
        jacobian[..., 3] = (at - x[:, None, 4:6]) / x[:, 3, None, None]
        jacobian[..., 0, 4] = jacobian[..., 1, 5] = 1.0
        turned = torch.einsum("mpc,bdc->bpdm", modes, rotation(torch.rad2deg(x[:, :3]))[:, :2])
        jacobian[..., _POSE:] = turned * (x[:, 3, None, None, None] * flip[None, None, :, None])
        jacobian = jacobian.flatten(1, 2) * weight[..., None]
        error = (at - points).flatten(1) * weight
        stiff = x.new_zeros(batch, count)
        stiff[:, _POSE:] = prior**2
        negative = x < 0
        negative[:, : _POSE + signed] = False
        stiff = stiff + 3e3 * negative
        normal = jacobian.mT @ jacobian
        gradient = (jacobian.mT @ error[..., None]).squeeze(-1) + stiff * x
        normal[:, diagonal, diagonal] += stiff
        normal[:, diagonal, diagonal] *= _DAMPING
        x = x - torch.linalg.solve(normal, gradient)
    bounded = x[:, _POSE + signed :].clamp(0.0, 1.2)
    return torch.cat([x[:, : _POSE + signed], bounded], 1)


def _start(points: Tensor, base: Tensor) -> Tensor:
    """A frontal pose [B, 6] of the right size in the right place."""
    scale = (points[:, 16] - points[:, 0]).norm(dim=1) / (base[16] - base[0])[:2].norm()
    shift = points.mean(1) - scale[:, None] * base.mean(0)[:2] * points.new_tensor([1.0, -1.0])
    return torch.cat([points.new_zeros(len(points), 3), scale[:, None], shift], 1)


def fit(rig: Rig, points68_px: Tensor, iris_px: Tensor) -> Shape:
    """Fit one photo.

    Args:
        rig: The whole rig.
        points68_px: Multi-PIE points, [68, 2], px, x right, y down.
        iris_px: Iris centres of the person's left and right eye, [2, 2], px.

    Returns:
        The person in that photo; `rest` closes the lips, `blink_gain` closes the lids.
    """
    return fit_many(rig, points68_px[None], iris_px[None])[0]


def fit_many(rig: Rig, points68_px: Tensor, iris_px: Tensor) -> list[Shape]:
    """`fit` for N photos of N persons at once: points [N, 68, 2] and irises [N, 2, 2], px."""
    points = points68_px.double()
    marks = rig.landmarks68
    base, identities, shapes = rig.neutral[marks], rig.identity[:, marks], rig.expression[:, marks]
    base, identities, shapes = base.double(), identities.double(), shapes.double()
    prior = torch.cat([torch.full((len(identities),), _IDENTITY_PRIOR, dtype=torch.float64), _priors(6.0)])
    modes = torch.cat([identities, shapes])
    both = _gauss_newton(base, modes, prior, len(identities), points, _start(points, base), 10)
    identity = both[:, _POSE : _POSE + len(identities)]
    own = base + torch.einsum("bm,mpc->bpc", identity, identities)
    x = _gauss_newton(own, shapes, _priors(4.0), 0, points, both[:, :_POSE], 6)
    out: list[Shape] = []
    for found in _shapes(rig, identity, x, own, shapes, points, iris_px.double()):
        rested = replace(found, rest=rest_expression(rig, found))
        out.append(replace(rested, blink_gain=blink_gain(rig, rested)))
    return out


def mark_offset_cm(rig: Rig, shape: Shape, points68_px: Tensor) -> Tensor:
    """Where the points of a person at rest lie off the rig's, [68, 3] cm in the rig's frame, mean over pictures.

    Args:
        rig: The whole rig.
        shape: The person, from `fit`.
        points68_px: Pictures of the person at rest, [N, 68, 2], px.
    """
    points = points68_px.double()
    own = _marks_at_rest(rig, shape)
    none = own.new_zeros(0, 68, 3)
    x = _gauss_newton(own, none, own.new_zeros(0), 0, points, _start(points, own[0]), 8)
    off = (points - _project(x, own, none)) / x[:, 3, None, None] * points.new_tensor([1.0, -1.0])
    return (functional.pad(off, (0, 1)) @ rotation(torch.rad2deg(x[:, :3]))).mean(0).float()


def _marks_at_rest(rig: Rig, shape: Shape) -> Tensor:
    small = rig.subset(rig.landmarks68)
    return (person(small, shape) + torch.einsum("k,kpc->pc", shape.rest, small.expression)).double()


def track(rig: Rig, shape: Shape, points68_px: Tensor, iris_px: Tensor, offset_cm: Tensor | None = None) -> list[Shape]:
    """Fit pose, expression and gaze of a person whose identity `shape` knows, in many pictures at once.

    The expression is looked for as rest plus controls of 0 and above, so a closed mouth has controls near 0.

    Args:
        rig: The whole rig.
        shape: The person, from `fit`.
        points68_px: [N, 68, 2], px.
        iris_px: [N, 2, 2], px, as for `fit`.
        offset_cm: What `mark_offset_cm` gave, so that the person at rest has controls of 0 in these pictures.

    Returns:
        The person in each picture, with the rest and blink gain of `shape`.
    """
    points = points68_px.double()
    shapes = rig.expression[:, rig.landmarks68].double()
    own = _marks_at_rest(rig, shape)
    if offset_cm is not None:
        own = own + offset_cm.double()
    x = _gauss_newton(own, shapes, _tracking_priors(), 0, points, _start(points, own[0]), 12, mouth=5.0)
    identity = shape.identity.double().expand(len(points), -1)
    tracked = _shapes(rig, identity, x, own, shapes, points, iris_px.double())
    return [
        replace(found, expression=shape.rest + found.expression, rest=shape.rest, blink_gain=shape.blink_gain)
        for found in tracked
    ]


def _shapes(
    rig: Rig, identity: Tensor, x: Tensor, own: Tensor, shapes: Tensor, points: Tensor, iris_px: Tensor
) -> list[Shape]:
    scale, angles, expression = x[:, 3], torch.rad2deg(x[:, :3]), x[:, _POSE:]
    residual = (_project(x, own, shapes) - points)[:, 17:].norm(dim=-1).mean(1) / scale
    turn = rotation(angles)
    flip = x.new_tensor([1.0, -1.0])
    centre = x[:, 4:6] + scale[:, None] * flip * (turn @ x.new_tensor(NECK_CM))[:, :2]
    zero = x.new_zeros(len(x), 2, 2)
    out: list[Shape] = []
    for i in range(len(x)):
        values = (identity[i], expression[i], expression[i], angles[i], scale[i], centre[i], zero[i], zero[i, 0] + 1)
        shape = Shape(*(value.float() for value in values), residual_cm=residual[i].float())
        out.append(replace(shape, gaze_deg=gaze_deg(rig, shape, iris_px[i].float())))
    return out


def gaze_deg(rig: Rig, shape: Shape, iris_px: Tensor) -> Tensor:
    """Eyeball angles [2, 2] that put the irises where the photo has them, at most 30 degrees off."""
    turn = rotation(shape.angles_deg)
    flip = torch.tensor([1.0, -1.0])
    from_neck = (eye_centres(rig, shape)[0] - torch.tensor(NECK_CM)) @ turn.T  # [2, 3]
    off = (iris_px - shape.centre_px) * flip / shape.scale_px_per_cm - from_neck[:, :2]
    length = off.norm(dim=1, keepdim=True)
    off = off * (_IRIS_DEPTH_CM * 0.7 / length.clamp(min=1e-6)).clamp(max=1.0)
    depth = (_IRIS_DEPTH_CM**2 - off.square().sum(1, keepdim=True)).sqrt()
    look = torch.cat([off, depth], 1) @ turn / _IRIS_DEPTH_CM
    angles = torch.stack([torch.atan2(look[:, 0], look[:, 2]), torch.asin(look[:, 1].clamp(-1, 1))], 1)
    return torch.rad2deg(angles).clamp(-30.0, 30.0)


def _gap_rows(vertices: Tensor, upper: Tensor, lower: Tensor) -> Tensor:
    """How far the upper chain lies above the lower one, at the upper chain's own x: [..., V, 3] to [..., upper].

    The pairing is that of the first row, so the gap is linear in the vertices.
    """
    first = vertices.reshape(-1, *vertices.shape[-2:])[0]
    x_low = first[lower, 0]
    right = torch.searchsorted(x_low.contiguous(), first[upper, 0].contiguous()).clamp(1, len(lower) - 1)
    part = (first[upper, 0] - x_low[right - 1]) / (x_low[right] - x_low[right - 1]).clamp(min=1e-6)
    part = part.clamp(0.0, 1.0)
    below = vertices[..., lower[right - 1], 1] * (1 - part) + vertices[..., lower[right], 1] * part
    return vertices[..., upper, 1] - below


def _lips(rig: Rig) -> tuple[Tensor, Tensor]:
    """The upper lip's chain without its corners and the lower lip's with them, both by rising x."""
    turn = int((rig.inner_lip == rig.landmarks68[64]).nonzero())
    lower = torch.cat([rig.inner_lip[turn:], rig.inner_lip[:1]]).flip(0)
    return rig.inner_lip[1:turn], lower


def _lids(rig: Rig, left: bool) -> tuple[Tensor, Tensor]:
    """The upper lid's middle and the lower lid, both by rising x."""
    chain = rig.eye_left if left else rig.eye_right
    turn = int((chain == rig.landmarks68[45 if left else 39]).nonzero())
    upper = chain[1:turn]
    edge = len(upper) // 6
    return upper[edge:-edge], torch.cat([chain[turn:], chain[:1]]).flip(0)


def lip_gap_cm(rig: Rig, face: Tensor) -> Tensor:
    """How far the lips are apart along the mouth, [..., 39] cm, negative where they cross; `face` [..., V, 3] cm."""
    return _gap_rows(face, *_lips(rig))


def lid_gap_cm(rig: Rig, face: Tensor) -> tuple[Tensor, Tensor]:
    """How far the lids of the left and right eye are apart, [..., n] cm; `face` [..., V, 3] cm."""
    return _gap_rows(face, *_lids(rig, True)), _gap_rows(face, *_lids(rig, False))


def rest_expression(rig: Rig, shape: Shape) -> Tensor:
    """The photo's expression [52] with jaw, smile and opening taken out and the lips brought together.

    A mouth that is closed in the photo keeps its shape but for the seal.
    """
    chains = torch.cat([*_lips(rig)])
    small = rig.subset(chains)
    upper, lower = torch.arange(len(_lips(rig)[0])), torch.arange(len(_lips(rig)[0]), len(chains))
    base = person(small, shape)[0]
    rest = shape.expression.clone()
    now = base + torch.einsum("k,kvc->vc", rest, small.expression)
    opening = (_gap_rows(now, upper, lower).mean() / 0.6).clamp(0.0, 1.0)
    rest[_columns(*_OPENING)] *= 1.0 - opening
    rest[_columns(*_SMILING)] = torch.minimum(rest[_columns(*_SMILING)], torch.tensor(0.25)) * (1.0 - 0.6 * opening)
    rest[INDEX["jawOpen"]] = 0.0
    rest[INDEX["mouthClose"]] = 0.0
    columns = _columns(*_SEAL)
    for _ in range(2):
        face = base + torch.einsum("k,kvc->vc", rest, small.expression)
        stack = torch.cat([face[None], face + small.expression[columns]])
        gaps = _gap_rows(stack, upper, lower)
        slope = (gaps[1:] - gaps[:1]).T  # [pairs, shapes]
        ridge = 0.02 * torch.eye(len(columns))
        rest[columns] -= torch.linalg.solve(slope.T @ slope + ridge, slope.T @ gaps[0])
    return rest


def blink_gain(rig: Rig, shape: Shape) -> Tensor:
    """What the blink shapes of the left and right eye must be multiplied by to close the lids from rest, [2]."""
    gains: list[Tensor] = []
    for left, column in zip((True, False), BLINK, strict=True):
        upper, lower = _lids(rig, left)
        small = rig.subset(torch.cat([upper, lower]))
        first, second = torch.arange(len(upper)), torch.arange(len(upper), len(upper) + len(lower))
        face = person(small, shape)[0] + torch.einsum("k,kvc->vc", shape.rest, small.expression)
        gaps = _gap_rows(torch.stack([face, face + small.expression[column]]), first, second)
        closing = (gaps[0] - gaps[1]).mean()
        gains.append(((gaps[0].mean() + _LID_OVERLAP_CM) / closing.clamp(min=1e-3)).clamp(0.3, 2.0))
    return torch.stack(gains)


def crop_box(shape: Shape) -> Box:
    """THE frame: the square (x0, y0, x1, y1) in photo pixels around the head, 25 cm wide at the person's scale."""
    offset = (torch.tensor(FRAME_CENTRE_CM) - torch.tensor(NECK_CM)) @ rotation(shape.angles_deg).T
    middle = shape.centre_px + shape.scale_px_per_cm * offset[:2] * torch.tensor([1.0, -1.0])
    half = FRAME_CM / 2 * float(shape.scale_px_per_cm)
    x, y = middle.tolist()
    return x - half, y - half, x + half, y + half


def crop(photo: NDArray[np.uint8], box: Box, size_px: int = FRAME_PX) -> NDArray[np.uint8]:
    """Cut the square `box` out of a photo [H, W, 3] and resample it, antialiased, to [size_px, size_px, 3].

    Where the box leaves the photo, the photo is mirrored.
    """
    return resample(photo, box, (size_px, size_px))


def resample(photo: NDArray[np.uint8], box: Box, size: tuple[int, int]) -> NDArray[np.uint8]:
    """As `crop`, of a rectangle and to any `size` (width, height)."""
    from PIL import Image  # training machines without pictures do not have it

    height, width = photo.shape[:2]
    left, top = max(0, -int(np.floor(box[0]))), max(0, -int(np.floor(box[1])))
    right, bottom = max(0, int(np.ceil(box[2])) - width), max(0, int(np.ceil(box[3])) - height)
    padded = np.pad(photo, ((top, bottom), (left, right), (0, 0)), mode="symmetric")
    moved = (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
    kind = Image.Resampling.LANCZOS if box[2] - box[0] > size[0] else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(padded).resize(size, kind, box=moved))


def to_frame(vertices: Tensor, box: Box, size_px: int = FRAME_PX) -> Tensor:
    """Vertices [..., 2 or 3] from photo pixels to pixels of the frame that `crop` cut; z is scaled alike."""
    factor = size_px / (box[2] - box[0])
    origin = torch.zeros(vertices.shape[-1], dtype=vertices.dtype, device=vertices.device)
    origin[:2] = origin.new_tensor(box[:2])
    return (vertices - origin) * factor


def shape_in_frame(shape: Shape, box: Box, size_px: int = FRAME_PX) -> Shape:
    """The same person with scale and place in frame pixels, so that `pose` gives frame pixels at once."""
    factor = size_px / (box[2] - box[0])
    return replace(
        shape, scale_px_per_cm=shape.scale_px_per_cm * factor, centre_px=to_frame(shape.centre_px, box, size_px)
    )
