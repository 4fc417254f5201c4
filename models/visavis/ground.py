"""The background stands still behind a head that moves: what it shows there, and laying the person over it."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.bilinear import enlarged
from models.visavis.geometry import Prior
from models.visavis.renderer import FRAME_PX, PHOTO_PX, inner
from models.visavis.sampling import positions
from models.visavis.surface import fill

_AROUND: Final = 2  # matte pixels around the person that are made up too: hairs that the matte misses
_STILL_PX: Final = (1.0, 4.0)  # so little movement leaves the picture as it is, so much lays person over background


def behind(photo: Tensor, matte: Tensor) -> Tensor:
    """The frame without the person: where the person was, what lies around, ever more blurred.

    Args:
        photo: Frames with their margins, [B, 3, 320 d, 320 d], -1 to 1.
        matte: `models.visavis.matte.matte` of them.

    Returns:
        [B, 3, 256 d, 256 d], -1 to 1.
    """
    person = F.max_pool2d(matte, 2 * _AROUND + 1, 1, _AROUND)
    person = F.interpolate(person, size=photo.shape[2:], mode="bilinear", align_corners=False)
    seen = (1.0 - 2.0 * inner(person)).clamp(0.0, 1.0)
    return fill(inner(photo) * seen, seen)


def lay(prior: Prior, matte: Tensor, ground: Tensor) -> Tensor:
    """The warped photo where the person is, and where little moved; what stands still behind it elsewhere.

    Args:
        prior: Where everything comes from.
        matte: Of the photo, [B, 1, MATTE_PX, MATTE_PX].
        ground: What `behind` gave.

    Returns:
        [B, 3, 256 d, 256 d], -1 to 1.
    """
    way = prior.way_under
    at = positions(way) * (FRAME_PX / PHOTO_PX)
    person = F.grid_sample(matte, at.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)
    little, much = _STILL_PX
    moved = ((way.square().sum(1, keepdim=True).sqrt() - little) / (much - little)).clamp(0.0, 1.0)
    share = enlarged((1.0 - person) * moved, int(ground.shape[2]) // int(moved.shape[2]))
    return torch.lerp(torch.lerp(prior.under, ground, share), prior.front, prior.shown)
