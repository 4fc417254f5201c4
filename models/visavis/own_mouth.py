"""The mouth that a photo shows: kept for the painter as it is, painted over where skin is read.

Where lips meet that are apart in the photo, what lies between their ways back to it is the photo's open mouth: its
teeth would show as a bright seam. The dark one that lips have is in no such photo, so it is drawn.
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from models.constant import Constant
from models.visavis.rectangles import Size, around, cut
from models.visavis.renderer import MARGIN_PX, PHOTO_PX, inner
from models.visavis.sampling import sample
from models.visavis.surface import fill

TEETH_TO_MIDDLE: Final = Constant(torch.tensor([0.0, 16.0]))
"""From the upper teeth to the middle of the mouth's patch, frame px."""
_VIEW_PX: Final[Size] = (72, 96)  # the mouth's patch and what its rounded corners may miss
_HALF_VIEW: Final = Constant(torch.tensor([48.0, 36.0]))
_EDGE: Final = 0.36  # an opening's map 1.5 px outside it: fitted lips are not exact
_STEEP: Final = 4.0  # the map's steps from one px to the next
_AJAR: Final = 0.12  # half a px deep: lips that meet keep their own dark seam
_SEAM: Final = 0.2  # the map this far from 0, 0.8 px, is seam: it fades from its middle on
_SHADE: Final = 0.45  # the light that a seam lacks in its middle
_PARTED: Final = (0.05, 0.25)  # lips that are 0.4 px apart still have all of it, with 2 px it is gone
_NEAR_PX: Final = 3


def covered(photo: Tensor, mouth: Tensor) -> Tensor:
    """Photos with the lips' colours where their mouths are open.

    Args:
        photo: Frames with their margins, [B, 3, 320 d, 320 d], -1 to 1.
        mouth: Their openings, as in `Binding.mouth`, same size.
    """
    opening = inner(mouth)
    ajar = _ajar(opening.amax((1, 2, 3), keepdim=True))
    hidden = ajar * ((opening + _EDGE) * _STEEP).clamp(0.0, 1.0)
    result = photo.clone()
    frame = inner(result)
    frame.lerp_(fill(frame * (1.0 - hidden), 1.0 - hidden), hidden)
    return result


def view(photo: Tensor, teeth: Tensor) -> Tensor:
    """The part of photos [B, 3, 640 d, 640 d] that lies around their mouths, [B, 3, 144 d, 192 d].

    Args:
        photo: By `finer`.
        teeth: As in `Binding.teeth`.
    """
    grow = photo.shape[-1] // PHOTO_PX
    return cut(photo, _corner(teeth) * grow, _VIEW_PX[0] * grow, _VIEW_PX[1] * grow)


def look(view: Tensor, teeth: Tensor, where: Tensor) -> Tensor:
    """Read what `view` gave at places [B, h, w, 2] (x, y) of the frame, frame px: [B, 3, h, w]."""
    at = (where + (MARGIN_PX + 0.5) - _corner(teeth)[:, None, None]) / _HALF_VIEW.like(where) - 1.0
    return sample(view, at)


def shaded(painted: Tensor, opening: Tensor, own: Tensor, detail: int) -> Tensor:
    """Darken the seam of lips that meet in the frame and are apart in the photo.

    Args:
        painted: Patches, [B, 3, d h, d w], -1 to 1.
        opening: The frame's mouth there, as in `Prior.openings`, [B, 1, d h, d w].
        own: The photo's, the same.
        detail: Pixels of the patch along a frame pixel, d.
    """
    closed, parted = _PARTED
    deepest, widest = (F.max_pool2d(m, 2 * _NEAR_PX * detail + 1, 1, _NEAR_PX * detail) for m in (opening, own))
    meets = ((parted - deepest) / (parted - closed)).clamp(0.0, 1.0)
    seam = (1.0 - opening.abs() / _SEAM).clamp(min=0.0)
    return (painted + 1.0) * (1.0 - _SHADE * seam * meets * _ajar(widest)) - 1.0


def _ajar(depth: Tensor) -> Tensor:
    """Whether a photo's mouth that is so deep by its map is open, 0 to 1."""
    return ((depth - _AJAR) * _STEEP).clamp(0.0, 1.0)


def _corner(teeth: Tensor) -> Tensor:
    """The view's upper left pixel, [B, 2] (x, y), int64, in frame px of the picture with its margin."""
    return around(teeth + TEETH_TO_MIDDLE.like(teeth) + MARGIN_PX, _VIEW_PX, PHOTO_PX)
