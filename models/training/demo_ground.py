"""A clean background for a blended portrait: the studio's own colour, smooth."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from models.training.demo_blend import blur, face_mask
from models.training.demo_shape import FACE_WIDTH_PX, SIZE_PX, Points

_CHIN: Final = 152
_NEAR: Final = 0.07  # a colour this close to the ground's is ground
_SOFT: Final = 0.13
_SPREAD_PX: Final = 40.0
_MARGIN_PX: Final = 5
_GRAIN: Final = 0.006


def clean_ground(picture: Tensor, shape: Points) -> Tensor:
    """Smooth everything that is not the person on a portrait with a plain ground.

    Args:
        picture: [3, S, S], sRGB 0 to 1.
        shape: Landmarks, [478, 2], px.

    Returns:
        Picture [3, S, S], 0 to 1.
    """
    ground = _smooth_ground(picture, shape)
    alpha = _matte(picture, ground, shape)
    grain = _GRAIN * torch.randn(SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(0))
    return (alpha * picture + (1 - alpha) * (ground + grain)).clamp(0, 1)


def _smooth_ground(picture: Tensor, shape: Points) -> Tensor:
    """The ground's colour everywhere, [3, S, S]: a quadratic of x and y, then a wide blur of what agrees with it."""
    at = torch.linspace(-1, 1, SIZE_PX)
    y, x = torch.meshgrid(at, at, indexing="ij")
    terms = torch.stack([torch.ones_like(x), x, y, x * x, y * y, x * y], dim=-1)
    px = torch.arange(SIZE_PX)
    column, row = (float(value) for value in shape.mean(0))
    away = torch.hypot(px[None] - column, (px[:, None] - row + 0.17 * FACE_WIDTH_PX) / 1.25)
    above = px[:, None] < float(shape[_CHIN, 1])
    clear = (away > 0.95 * FACE_WIDTH_PX) & above
    ground = picture
    for _ in range(4):
        weights = torch.linalg.lstsq(terms[clear], picture[:, clear].T).solution
        ground = (terms @ weights).permute(2, 0, 1)
        clear = clear & ((picture - ground).norm(dim=0) < 0.12)
    outside = face_mask(shape, grow=1.15, soft_px=1.0)[0, 0] < 0.5
    clear = (((picture - ground).norm(dim=0) < 0.16) & above & outside).float()[None, None]
    near = blur(clear, _SPREAD_PX)
    return ((blur(picture[None] * clear, _SPREAD_PX) + 0.02 * ground) / (near + 0.02))[0]


def _matte(picture: Tensor, ground: Tensor, shape: Points) -> Tensor:
    """How far each pixel is the person's, [1, S, S]: what differs from the ground and hangs together with the face."""
    from scipy import ndimage

    alpha = ((blur((picture - ground)[None], 0.7)[0].norm(dim=0) - _NEAR) / _SOFT).clamp(0, 1)
    face = face_mask(shape, grow=1.0, soft_px=1.0)[0, 0]
    rough = np.asarray((torch.maximum(alpha, face) > 0.5).numpy())
    solid = np.asarray(ndimage.binary_opening(rough, iterations=3))
    solid = np.pad(solid, ((0, 1), (0, 0)), constant_values=True)  # the body closes the frame below
    labels = np.zeros(solid.shape, np.int32)
    ndimage.label(solid, output=labels)
    column, row = shape.mean(0).astype(int)
    person = np.asarray(ndimage.binary_fill_holes(labels == labels[row, column]))[:-1]
    near = np.asarray(ndimage.binary_dilation(person, iterations=_MARGIN_PX))
    return blur(torch.from_numpy(near.astype(np.float32))[None, None], 2.0)[0]
