"""Another light on a photographed face: a ratio of spherical harmonics, whatever the photo's own light is."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.training.raster import Floats, Raster
from models.training.scene import Scene, normals
from models.visavis.ict import pose

_STRENGTH: Final = 0.35
_LEAST: Final = 0.45


@dataclass(frozen=True)
class Relight:
    """A change of light, fixed to the camera.

    The first two bands of spherical harmonics describe light on skin to within a few percent (Ramamoorthi and Hanrahan,
    "An Efficient Representation for Irradiance Environment Maps", SIGGRAPH 2001; here the constant and linear ones).

    Attributes:
        linear: What the change gains along x right, y up and z towards the viewer, [3].
        tint: RGB factors, [3].
    """

    linear: NDArray[np.float64]
    tint: NDArray[np.float64]

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Relight":
        """Brighter from one side than from the other, a little warmer or colder."""
        side = np.array([rng.normal(0.0, 1.0), rng.normal(0.0, 0.6), rng.normal(0.0, 0.3)])
        return cls(_STRENGTH * side, rng.uniform(0.94, 1.06, 3) * rng.uniform(0.8, 1.12))

    def ratio(self, normal: NDArray[np.float32]) -> NDArray[np.float32]:
        """Factors [N] for surfaces with these normals [N, 3]; 1 where they look at the camera."""
        facing = np.array([0.0, 0.0, 1.0])
        return np.clip(1.0 + (normal - facing) @ self.linear, _LEAST, 2.0 - _LEAST).astype(np.float32)

    def on(self, images: NDArray[np.uint8], ratio: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Pictures [N, H, W, 3] under this light, given the ratio of each pixel, [N, H, W, 1]."""
        return np.clip(images * (ratio * self.tint) + 0.5, 0, 255).astype(np.uint8)


def scene_ratio(scene: Scene, raster: Raster, controls: Tensor, light: Relight) -> Floats:
    """By how much a light changes each pixel of a portrait's states [N, 57]: [N, S, S, 1].

    What is not on the mesh takes part as far as it follows the head.
    """
    places = pose(scene.rig, scene.shape, controls, scene.base).numpy()
    triangles = scene.rig.triangles.numpy()
    out: list[Floats] = []
    for (solid, drawn, _, _), place in zip(scene.states(controls), places, strict=True):
        ratio = light.ratio(normals(place * np.array([1.0, -1.0, 1.0], np.float32), triangles))
        around = 1.0 + (scene.anchor_weight @ ratio[scene.anchors] - 1.0) * scene.follow[:, 0]
        values = np.zeros((len(solid), 4), np.float32)
        values[:, 0] = np.concatenate([around, ratio])
        out.append(raster.trace(solid, values, drawn)[..., :1])
    return np.stack(out)
