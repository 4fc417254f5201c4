"""A closer look at eyes and mouth: lids, irises and lips again, each on a crop in which it is large.

On a crop of the whole face an eye is a dozen pixels wide, too few to tell a closed lid or a gaze aside. The idea is
that of Grishchenko et al., "Attention Mesh", CVPR workshops 2020; ours cuts the parts out of the photo itself.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from models.visavis.landmarks import (
    INNER_LIPS,
    LEFT_EYELIDS,
    OUTER_LIPS,
    RIGHT_EYELIDS,
    LandmarkNet,
    Placement,
    Residual,
    align,
    conv,
    cut,
)

PART_PX: Final = 64
WEIGHTS: Final = Path(__file__).parent / "weights" / "parts.safetensors"


@dataclass(frozen=True)
class Part:
    """A part of the face as one net sees it.

    Attributes:
        points: Which mesh points are looked for, in the net's order.
        side: Side of its square crop, in sides of the face's aligned crop.
        mirrored: Whether the crop is turned left to right first.
    """

    points: tuple[int, ...]
    side: float
    mirrored: bool = False

    def place(self, face: Placement, points_px: NDArray[np.float64]) -> Placement:
        """The crop about this part of a face, turned and scaled as the aligned crop of the whole face."""
        middle = complex(*points_px[list(self.points)].mean(axis=0))
        turn = face.turn * self.side
        return Placement(turn, middle - turn * (0.5 + 0.5j))


RIGHT_EYE: Final = Part((*RIGHT_EYELIDS, 468, 469, 470, 471, 472), 0.24)
LEFT_EYE: Final = Part((*LEFT_EYELIDS, 473, 476, 475, 474, 477), 0.24, mirrored=True)
"""In the order of the right eye's mirror image, so that one net serves both."""
MOUTH: Final = Part((*OUTER_LIPS, *INNER_LIPS), 0.42)


class PartNet(nn.Module):
    """A crop of one part to its points, about 12 MMAC.

    Attributes:
        mean_shape: Mean of the part in crop units, [P, 2].
    """

    mean_shape: Tensor

    def __init__(self, points: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            conv(3, 16, stride=2),
            conv(16, 32, stride=2),
            Residual(32),
            conv(32, 64, stride=2),
            Residual(64),
            nn.Conv2d(64, 16, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(inplace=True),
        )
        self.hidden = nn.Linear(16 * (PART_PX // 8) ** 2, 128)
        self.offsets = nn.Linear(128, points * 2)
        self.register_buffer("mean_shape", torch.full((points, 2), 0.5))

    def forward(self, crops: Tensor) -> Tensor:
        """Find the points.

        Args:
            crops: RGB, [B, 3, PART_PX, PART_PX], float32, -1 to 1.

        Returns:
            Points x, y in crop units (0 to 1 from edge to edge), [B, P, 2], float32.
        """
        features = F.relu(self.hidden(self.trunk(crops).flatten(1)))
        return self.mean_shape + self.offsets(features).unflatten(1, self.mean_shape.shape)


class PartNets(nn.Module):
    """The nets of an eye and of the mouth."""

    def __init__(self) -> None:
        super().__init__()
        self.eye, self.mouth = PartNet(len(RIGHT_EYE.points)), PartNet(len(MOUTH.points))


@cache
def load_parts(path: Path = WEIGHTS) -> PartNets:
    """The trained nets in float32, ready to run; loaded once."""
    nets = PartNets()
    nets.load_state_dict(load_file(path))
    return nets.eval().requires_grad_(False)


@torch.inference_mode()
def look_closer(
    net: LandmarkNet, parts: PartNets, photo: NDArray[np.uint8], points_px: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find lids, irises and lips again, from where the face's net saw them.

    Args:
        net: The face's net: its mean face says how the face lies.
        parts: The trained nets.
        photo: RGB, [H, W, 3], uint8.
        points_px: The face's net's answer, [478, 2], photo pixels.

    Returns:
        The same points, those of eyes and mouth anew.
    """
    face = align(net.mean_shape.double().numpy(), points_px)
    out = points_px.copy()
    places = [part.place(face, points_px) for part in (RIGHT_EYE, LEFT_EYE, MOUTH)]
    right, left, mouth = (cut(photo, place, PART_PX) for place in places)
    eyes = parts.eye(torch.cat([right, left.flip(3)]))
    lips, mirrored = parts.mouth(torch.cat([mouth, mouth.flip(3)]))
    partners = mouth_partners(net)
    lips = (lips + flipped(mirrored)[partners]) / 2
    answers = (eyes[0], flipped(eyes[1]), lips)
    for part, place, found in zip((RIGHT_EYE, LEFT_EYE, MOUTH), places, answers, strict=True):
        out[list(part.points)] = place.to_photo(found.double().numpy())
    return out


def flipped(points: Tensor) -> Tensor:
    """Points [..., 2] of a crop in its mirror image."""
    return torch.stack([1 - points[..., 0], points[..., 1]], dim=-1)


def mouth_partners(net: LandmarkNet) -> Tensor:
    """For each point of `MOUTH` the place of its mirror partner in it, [P]."""
    where = {point: place for place, point in enumerate(MOUTH.points)}
    return torch.tensor([where[int(net.mirror[point])] for point in MOUTH.points])
