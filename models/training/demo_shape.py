"""The shape of a face that nobody has, and the warp that brings a photo to it."""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

SIZE_PX: Final = 512
FACE_WIDTH_PX: Final = 240.0
"""From ear to ear: what the corpus's portraits fill 512 px with, and more than `fit.FRAME_CM` needs."""

_CENTRE_PX: Final = (256.0, 284.0)  # between hairline and chin
_TOP, _CHIN, _EAR_LEFT, _EAR_RIGHT = 10, 152, 234, 454  # of MediaPipe's mesh; left of the picture
_MODES: Final = 6
_MEAN_ROUNDS: Final = 6
_SYMMETRY: Final = 0.15
_STEP_PX: Final = 4
_SMOOTHING: Final = 0.5
_RING_PX: Final = (-60.0, 85.0, 256.0, 427.0, 572.0)

Points = NDArray[np.float64]


def new_face(faces: list[Points], *, seed: int, shape_sd: float) -> Points:
    """A frontal face shape: the mean of `faces` plus a random step along their first principal components.

    Args:
        faces: Meshes of MediaPipe, each [478, 3], px, any pose.
        seed: Of the step.
        shape_sd: Length of the step along each component, in standard deviations.

    Returns:
        Points [478, 2] in px of a picture of `SIZE_PX`, the face upright and in the middle.
    """
    mirror = _mirror_order(faces[0])
    mean = faces[0] - faces[0].mean(0)
    aligned = np.stack(faces)
    for _ in range(_MEAN_ROUNDS):
        aligned = np.stack([_onto(face, mean) for face in faces])
        mean = aligned.mean(0)
        mean = (mean + _onto(_flip(mean)[mirror], mean)) / 2
    spread = (aligned - aligned.mean(0)).reshape(len(faces), -1)
    _, scale, modes = np.linalg.svd(spread, full_matrices=False)
    count = min(_MODES, len(faces) - 1)
    step = np.random.default_rng(seed).normal(size=count) * shape_sd * scale[:count] / np.sqrt(len(faces))
    face = mean + (step @ modes[:count]).reshape(mean.shape)
    face = (1 - _SYMMETRY) * face + _SYMMETRY * _onto(_flip(face)[mirror], face)
    return _upright(face)


def warp_field(target: Points, points: Points) -> Tensor:
    """Where each pixel of a portrait with shape `target` lies in the photo with mesh `points`.

    A thin-plate spline through all landmarks, which far from the face goes over into a similarity.

    Args:
        target: Shape to reach, [478, 2], px of a picture of `SIZE_PX`.
        points: Mesh of the photo, [478, 3], px.

    Returns:
        Map [S, S, 2] (float32) of x, y in px of the photo.
    """
    from scipy.interpolate import RBFInterpolator

    ring = np.array([(x, y) for x in _RING_PX for y in _RING_PX if _RING_PX[0] in (x, y) or _RING_PX[-1] in (x, y)])
    knots = np.concatenate([target, ring])
    similar = _similarity(target, points[:, :2])
    wanted = np.concatenate([points[:, :2], similar(ring)])
    spline = RBFInterpolator(knots, wanted - similar(knots), smoothing=_SMOOTHING, kernel="thin_plate_spline")
    at = np.arange(0, SIZE_PX, _STEP_PX) + (_STEP_PX - 1) / 2
    grid = np.stack(np.meshgrid(at, at), axis=-1, dtype=np.float64).reshape(-1, 2)
    coarse = (np.asarray(spline(grid)) + similar(grid)).reshape(len(at), len(at), 2)
    field = torch.from_numpy(coarse).float().permute(2, 0, 1)[None]
    field = functional.interpolate(field, size=(SIZE_PX, SIZE_PX), mode="bicubic", align_corners=False)
    return field[0].permute(1, 2, 0)


def _flip(face: Points) -> Points:
    return face * (-1.0, 1.0, 1.0)


def _onto(face: Points, other: Points) -> Points:
    """`face` turned, scaled and shifted onto `other` [P, 3] (Umeyama 1991)."""
    a, b = face - face.mean(0), other - other.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return np.asarray(a @ (u * sign) @ vt * ((s * sign).sum() / (a**2).sum()) + other.mean(0))


def _mirror_order(face: Points) -> NDArray[np.intp]:
    """Which point of the mesh faces which across the middle of the face, [478]."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    mirrored = _flip(face - face.mean(0))
    order = np.arange(len(face))
    for _ in range(5):
        rows, columns = linear_sum_assignment(cdist(mirrored, face - face.mean(0)))
        order = np.asarray(rows)[np.argsort(columns)]
        mirrored = _onto(mirrored[order], face - face.mean(0))[np.argsort(order)]
    return order


def _upright(face: Points) -> Points:
    """Seen straight from the front, in px of the picture, [478, 2]."""
    across = face[_EAR_RIGHT] - face[_EAR_LEFT]
    across /= np.linalg.norm(across)
    down = face[_CHIN] - face[_TOP]
    down -= across * (down @ across)
    down /= np.linalg.norm(down)
    flat = np.stack([face @ across, face @ down], axis=1)
    flat *= FACE_WIDTH_PX / (flat[_EAR_RIGHT, 0] - flat[_EAR_LEFT, 0])
    return np.asarray(flat - (flat[_TOP] + flat[_CHIN]) / 2 + _CENTRE_PX)


def _similarity(source: Points, goal: Points) -> Callable[[Points], Points]:
    """The turn, scale and shift of the plane that takes points [P, 2] nearest to others."""
    a, b = source[:, 0] + 1j * source[:, 1], goal[:, 0] + 1j * goal[:, 1]
    by = ((a - a.mean()).conj() @ (b - b.mean())) / (abs(a - a.mean()) ** 2).sum()

    def move(points: Points) -> Points:
        moved = by * (points[:, 0] + 1j * points[:, 1] - a.mean()) + b.mean()
        return np.stack([moved.real, moved.imag], axis=1)

    return move
