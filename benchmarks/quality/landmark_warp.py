"""The plain rival of a learned face: the photo bent so that its landmarks move, and nothing else."""

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmarks.quality.meter import Picture

_SLACK: Final = 1e-3
"""How little the points may be missed: lips that meet in one picture and not in the other would fold it."""
_EDGE: Final = 5
"""Points held still along each edge of the frame."""


def warp(photo: Picture, points_px: NDArray[np.float64], wanted_px: NDArray[np.float64]) -> Picture:
    """Bend a photo by a thin-plate spline; the frame's edges stay.

    Args:
        photo: RGB, [S, S, 3], uint8.
        points_px: Landmarks in the photo, [P, 2].
        wanted_px: Where they should be, [P, 2].

    Returns:
        [S, S, 3], uint8.

    Source:
        Bookstein, "Principal warps: thin-plate splines and the decomposition of deformations", IEEE Transactions on
        Pattern Analysis and Machine Intelligence 11(6), 1989; from the wanted place back to the photo.
    """
    side = photo.shape[0]
    edge = np.linspace(0.0, 1.0, _EDGE)
    square = [(x, y) for x in edge for y in edge if {x, y} & {0.0, 1.0}]
    given, wanted = (np.concatenate([points / side, square]) for points in (points_px, wanted_px))
    count = len(wanted)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _bend(wanted, wanted) + _SLACK * np.eye(count)
    system[:count, count:] = _flat(wanted)
    system[count:, :count] = _flat(wanted).T
    weights = np.linalg.solve(system, np.concatenate([given, np.zeros((3, 2))]))
    steps = (np.arange(side) + 0.5) / side
    places = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    back = _bend(places, wanted) @ weights[:count] + _flat(places) @ weights[count:]
    grid = torch.from_numpy(back.reshape(1, side, side, 2) * 2 - 1).float()
    levels = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float()
    bent = F.grid_sample(levels, grid, mode="bilinear", padding_mode="border", align_corners=False)[0]
    return bent.permute(1, 2, 0).round().clamp(0, 255).byte().numpy()


def _bend(places: NDArray[np.float64], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """The spline's kernel r^2 log r^2, [places, knots]."""
    far = np.square(places[:, None] - knots[None]).sum(axis=-1)
    return far * np.log(np.maximum(far, 1e-12))


def _flat(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([np.ones((len(places), 1)), places], axis=1)
