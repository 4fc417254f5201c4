"""How a known head is held in a picture: the points of it that no expression moves, as a rigid body.

A fit of the whole rig explains a part of every turn by an expression, and reads 15 degrees as 12.
"""

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from models.training.mesh_points import depths_px
from models.visavis.ict import Rig, Shape, rotation

RIGID: Final = (
    *(168, 6, 197, 195, 5, 4, 1, 2, 94, 97, 98, 326, 327),  # bridge, tip and wings of the nose
    *(33, 133, 362, 263),  # corners of the eyes
    *(127, 162, 234, 93, 356, 389, 454, 323),  # sides, from temples to ears
)
"""Points of MediaPipe's face mesh."""
_ROUNDS: Final = 12
_NUDGE: Final = 1e-5
_FLIP: Final = torch.tensor([1.0, -1.0], dtype=torch.float64)


class RigidHead:
    """One person's head, known from one picture."""

    def __init__(self, rig: Rig, shape: Shape, points_px: Tensor) -> None:
        """Get to know it.

        Args:
            rig: The whole rig.
            shape: The person in the picture, from `models.visavis.fit.fit`.
            points_px: The mesh points in it, [478, 2].
        """
        self._shape = shape
        seen = torch.cat([points_px - shape.centre_px, depths_px(rig, shape, points_px)[:, None]], 1)[list(RIGID)]
        upright = seen * torch.tensor([1.0, -1.0, 1.0]) / shape.scale_px_per_cm
        self._points_cm = (upright @ rotation(shape.angles_deg)).double()  # [P, 3], in the rig's frame, from the neck

    def follow(self, points_px: Tensor) -> list[Shape]:
        """The person as held in other pictures, expression as in the first: from mesh points [N, 478, 2], px."""
        points = points_px[:, list(RIGID)].double()
        known = self._shape
        start = torch.cat([torch.deg2rad(known.angles_deg), known.scale_px_per_cm[None], known.centre_px]).double()
        x = start.repeat(len(points), 1)
        for _ in range(_ROUNDS):
            at = self._project(x)
            moved = [self._project(x + nudge) for nudge in _NUDGE * torch.eye(x.shape[1], dtype=x.dtype)]
            slope = (torch.stack(moved, 2) - at[..., None]) / _NUDGE
            x = x - torch.linalg.lstsq(slope, (at - points.flatten(1))[..., None])[0][..., 0]
        rows = zip(torch.rad2deg(x[:, :3]).float(), x[:, 3].float(), x[:, 4:].float(), strict=True)
        return [replace(known, angles_deg=turn, scale_px_per_cm=scale, centre_px=at) for turn, scale, at in rows]

    def _project(self, x: Tensor) -> Tensor:
        """Yaw, pitch, roll (rad), scale and place [N, 6] to the points in the picture, [N, 2 P] px."""
        turned = self._points_cm @ rotation(torch.rad2deg(x[:, :3])).mT
        return (turned[..., :2] * _FLIP * x[:, None, 3:4] + x[:, None, 4:]).flatten(1)
