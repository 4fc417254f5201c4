"""Where the 478 points of the face mesh lie in every state of a drawn person, known exactly.

A detector's points on the photo are hung on the fitted rig, which then carries them wherever it goes: no detector
labels a nod, a closed lid or a gaze aside as truly.
"""

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from models.training.scene import normals, own_controls
from models.visavis.ict import Part, Rig, Shape, pose, rotation
from models.visavis.landmarks import INNER_LIPS, IRISES, LEFT_EYELIDS, POINTS, RIGHT_EYELIDS

_NEIGHBOURS: Final = 4  # vertices that carry a point
_LOOKED_AT: Final = 64
_HERE_CM: Final = 0.25  # vertices that lie so near a point are before or behind it
_LAYER_CM: Final = 0.6  # so far behind the foremost of them is another layer: a nostril's inside, the mouth's, the neck
_FACING: Final = 0.05  # skin that faces the camera less is the back of the head or the inside of a nostril
_CLOSED_CM: Final = 0.03  # openings that are smaller are closed
_RIMS: Final = tuple(
    (ring[: half + 1], (*ring[half:], ring[0]))
    for ring, half in ((INNER_LIPS, 10), (RIGHT_EYELIDS, 8), (LEFT_EYELIDS, 8))
)
"""Upper and lower points of each opening, corners in both: the upper from a corner on, the lower back to it."""


def carried(rig: Rig, shape: Shape, points_px: Tensor, controls: Tensor) -> Tensor:
    """Carry a photo's mesh points to other states.

    Args:
        rig: The whole rig.
        shape: The person, in the frame's pixels.
        points_px: The points on the photo, in the frame, [478, 2].
        controls: The states, relative to rest, [N, 57].

    Returns:
        The points in each state, [N, 478, 2], float32, px.
    """
    photo = pose(rig, shape, own_controls(shape)[None])[0]
    moved = pose(rig, shape, controls)[..., :2]
    anchor, off = torch.empty(len(controls), POINTS, 2), torch.empty(POINTS, 2)
    for points, by, share in _carriers(rig, shape, points_px, photo):
        anchor[:, points] = (moved[:, by] * share[..., None]).sum(2)
        off[points] = points_px[points] - (photo[by, :2] * share[..., None]).sum(1)
    return anchor + _met(anchor, off, points_px - off, _CLOSED_CM * float(shape.scale_px_per_cm))


def depths_px(rig: Rig, shape: Shape, points_px: Tensor) -> Tensor:
    """How far a photo's mesh points [478, 2] lie towards the camera from the neck's, [478], px, as the rig has it."""
    photo = pose(rig, shape, own_controls(shape)[None])[0]
    out = torch.empty(POINTS)
    for points, by, share in _carriers(rig, shape, points_px, photo):
        out[points] = (photo[by, 2] * share).sum(1)
    return out


def _carriers(rig: Rig, shape: Shape, points_px: Tensor, photo: Tensor) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Some of the points, the vertices that carry each of them, [P, count], and their shares, [P, count]."""
    for points, vertices, count in _candidates(rig, shape):
        by, share = _nearest(points_px[points], photo[vertices], shape.scale_px_per_cm, count)
        yield points, vertices[by], share


def _nearest(points_px: Tensor, vertices_px: Tensor, scale_px_per_cm: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Which vertices [V, 3] carry points [P, 2], and their shares, [P, count]; those that others hide carry none."""
    gap, which = torch.cdist(points_px, vertices_px[:, :2]).topk(min(_LOOKED_AT, len(vertices_px)), largest=False)
    depth = vertices_px[which, 2]
    here = gap <= (_HERE_CM * scale_px_per_cm).clamp(min=gap[:, :1])
    front = depth.masked_fill(~here, -torch.inf).amax(1, keepdim=True)
    gap, place = gap.masked_fill(depth < front - _LAYER_CM * scale_px_per_cm, torch.inf).topk(count, largest=False)
    share = 1.0 / (gap + 1e-3)
    return which.gather(1, place), share / share.sum(1, keepdim=True)


def _met(anchor: Tensor, off: Tensor, photo: Tensor, closed_px: float) -> Tensor:
    """What detector and rig disagree about, [N, 478, 2]: as in the photo, but not about whether an opening is shut.

    Args:
        anchor: Where the rig has the points, [N, 478, 2].
        off: Where the detector sees them in the photo, relative to the rig, [478, 2].
        photo: Where the rig has them in the photo, [478, 2].
        closed_px: A gap that counts as none.
    """
    out = off.expand(len(anchor), -1, -1).clone()
    for up, down in _RIMS:
        upper, lower = torch.tensor(up[1:-1]), torch.tensor(down[1:-1]).flip(0)
        open_px = (anchor[:, upper] - anchor[:, lower]).norm(dim=-1)
        was_px = (photo[upper] - photo[lower]).norm(dim=-1)
        share = ((open_px + closed_px) / (was_px + closed_px)).clamp(max=1.0)[..., None]
        both, apart = (off[upper] + off[lower]) / 2, (off[upper] - off[lower]) / 2
        out[:, upper], out[:, lower] = both + apart * share, both - apart * share
    return out


def _candidates(rig: Rig, shape: Shape) -> list[tuple[list[int], Tensor, int]]:
    """Which points may be carried by which vertices, by how many: rims by their own side, irises by all theirs."""
    marks = rig.landmarks68
    chains = ((rig.inner_lip, marks[64]), (rig.eye_right, marks[39]), (rig.eye_left, marks[45]))
    out: list[tuple[list[int], Tensor, int]] = []
    for (up, down), (chain, corner) in zip(_RIMS, chains, strict=True):
        turn = int((chain == corner).nonzero())
        sides = (list(up), chain[: turn + 1]), (list(down[1:-1]), torch.cat([chain[turn:], chain[:1]]))
        out += [(*side, _NEIGHBOURS) for side in sides]
    for points, ring in ((IRISES[:5], rig.iris_right), (IRISES[5:], rig.iris_left)):
        out.append((list(points), ring, len(ring)))
    outward = torch.from_numpy(normals(rig.neutral.numpy(), rig.triangles.numpy()))
    facing = outward @ rotation(shape.angles_deg)[2]
    skin = torch.nonzero((rig.part == Part.FACE) & (facing > _FACING)).squeeze(1)
    rest = set(range(POINTS)).difference(*(points for points, *_ in out))
    return [*out, (sorted(rest), skin, _NEIGHBOURS)]
