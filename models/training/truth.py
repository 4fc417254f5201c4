"""What is known exactly of a drawn picture: for each pixel where it comes from in the photo, and whether that shows it.

The meshes are drawn once more with numbers for colours: where each point lies in the photo, how near, and what it is.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.training.raster import Floats, Raster
from models.training.scene import MARGIN, Scene
from models.visavis.ict import pose

NEAR_CM: Final = 0.6
"""Depths that differ by less belong to the same surface: enough for a lid that comes down, too little for a cheek
behind a nose."""

NOWHERE_PX: Final = -1e6
"""Depth of what the photo does not show because it is made up."""


@dataclass(frozen=True)
class Truth:
    """The truth of N pictures of one person, the photo first.

    Attributes:
        flow: Backward flow in px, x right, y down, [N, S, S, 2], float16: pixel p shows what the photo has at p + flow.
        visible: 255 where the photo shows that point indeed, else 0, [N, S, S], uint8.
        matte: 255 where the head's mesh (and hair, where there is some) is, else 0, [N, S, S], uint8.
        landmarks: The 68 Multi-PIE points, [N, 68, 2], px, float32.
    """

    flow: NDArray[np.float16]
    visible: NDArray[np.uint8]
    matte: NDArray[np.uint8]
    landmarks: NDArray[np.float32]


def truth_of(traces: Floats, landmarks: Floats, ground: int, near_px: float) -> Truth:
    """Turn traces into truth.

    Args:
        traces: What was drawn, [N, S, S, 4], the photo's own state first: x and y in the photo and depth there (px),
            and the kind of surface (0 where nothing was drawn, which stays in its place).
        landmarks: [N, 68, 2], px.
        ground: The kind that is no part of the head.
        near_px: How far depths of the same surface may differ.
    """
    count, side = traces.shape[:2]
    rows, columns = np.mgrid[:side, :side].astype(np.float32) + 0.5
    kind = np.rint(traces[..., 3]).astype(int)
    place = np.where((kind == 0)[..., None], np.stack([columns, rows], -1), traces[..., :2])
    at = np.floor(place).astype(int)
    inside = ((at >= 0) & (at < side)).all(-1)
    x, y = np.clip(at, 0, side - 1)[..., 0], np.clip(at, 0, side - 1)[..., 1]
    alike = kind[0][y, x] == kind
    near = np.abs(traces[0][y, x, 2] - traces[..., 2]) < near_px
    known = traces[..., 2] > NOWHERE_PX / 2
    return Truth(
        flow=(place - np.stack([columns, rows], -1)).astype(np.float16),
        visible=((inside & alike & near & known) * 255).astype(np.uint8),
        matte=((kind != ground) & (kind != 0)).astype(np.uint8) * np.uint8(255),
        landmarks=landmarks.astype(np.float32).reshape(count, -1, 2),
    )


def scene_truth(scene: Scene, raster: Raster, controls: Tensor) -> Truth:
    """The truth of a portrait's states [N, 57], of which the first must be the photo's own.

    The rest of the photo, hair and shoulders included, follows the head as one flat ground: the matte leaves it out.
    """
    grid = len(scene.grid)
    depth = np.concatenate([np.zeros(grid, np.float32), scene.own_px[:, 2]])
    kind = np.full(len(depth), 1.0, np.float32)
    kind[grid + scene.face], kind[grid + scene.inside], kind[grid + scene.balls] = 2.0, 3.0, 4.0
    side = scene.size_px * MARGIN
    traces: list[Floats] = []
    for solid, triangles, _, _ in scene.states(controls):
        texel = solid[:, 3:5] * np.array([1.0, 2.0], np.float32)
        texel[grid + scene.balls, 1] -= 1.0  # eyeballs read from the lower half of the texture
        place = texel * side - (side - scene.size_px) / 2
        known = np.where(solid[:, 8] < 0.5, depth, NOWHERE_PX)  # the rest is painted
        traces.append(raster.trace(solid, np.column_stack([place, known, kind]).astype(np.float32), triangles))
    places = pose(scene.rig, scene.shape, controls, scene.base)[:, scene.rig.landmarks68, :2]
    return truth_of(np.stack(traces), places.numpy(), 1, NEAR_CM * float(scene.shape.scale_px_per_cm))
