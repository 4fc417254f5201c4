"""A face cut as a system wants it, alone or with the photo around it, and frames that come to rest at their edges."""

from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.canvas import Canvas
from models.framing import Framing
from models.system import IdentityState

EDGE: Final = 1 / 8
"""Share of a frame's side, from each of its edges, over which it comes to rest."""
_STILL: Final = "still_photo"


def cut_face(
    photo: NDArray[np.uint8],
    points: NDArray[np.float64],
    template: NDArray[np.float64],
    frame_px: int,
    framing: Framing,
) -> tuple[Tensor, Canvas | None]:
    """Cut a face so that some of its points lie where a template has them.

    In framing `photo` the cut is upright, so that it can be pasted back: a tilted head stays tilted.

    Args:
        photo: RGB, [H, W, 3], uint8.
        points: In it, px, [P, 2].
        template: Where they should lie, 0 to 1 from edge to edge of the cut, [P, 2].
        frame_px: Side of the cut as it is returned.
        framing: Whether a canvas is wanted.

    Returns:
        [1, 3, frame_px, frame_px], float32, -1 to 1, and the canvas around it.
    """
    from models.visavis.landmarks import align, cut
    from models.visavis.surroundings import surroundings

    place = align(template, points)
    if framing == "head":
        return cut(photo, place, frame_px), None
    upright = replace(place, turn=complex(place.side_px))
    upright = replace(upright, corner=place.corner + (place.turn - upright.turn) * (0.5 + 0.5j))
    x, y = upright.corner.real, upright.corner.imag
    canvas = surroundings(photo, (x, y, x + upright.side_px, y + upright.side_px), frame_px)
    return cut(photo, upright, frame_px), canvas


def placed(identity: IdentityState, face: Tensor, canvas: Canvas | None) -> IdentityState:
    """The identity with its canvas, and with the photo's own pixels [1, 3, S, S], -1 to 1, for its frames' edges."""
    if canvas is None:
        return identity
    return replace(identity, tensors=identity.tensors | {_STILL: face[0].clone()}, canvas=canvas)


def settle(frames: Tensor, identities: list[IdentityState]) -> Tensor:
    """Let frames [B, 3, S, S], -1 to 1, of identities with a canvas come to rest towards their edges, in place."""
    for frame, identity in zip(frames, identities, strict=True):
        if identity.canvas is not None:
            frame.copy_(torch.lerp(identity.tensors[_STILL], frame, _share(frame.shape[-1])))
    return frames


@cache
def _share(side_px: int) -> Tensor:
    """What a frame has to say, 0 at its outermost pixels to 1, [S, S]; smooth at both ends."""
    ramp = torch.arange(side_px) / (EDGE * side_px)
    ramp = torch.minimum(ramp, ramp.flip(0)).clamp(max=1.0)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return torch.minimum(ramp[:, None], ramp[None])
