"""Where TAVCE's key points are: found in the photo, and moved by the coefficients of a face model.

Source: Wang et al., "One-Shot Free-View Neural Talking-Head Synthesis", CVPR 2021, section 3.1; SadTalker's mapping.
"""

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.warp import identity_grid
from models.tavce.config import COEFFICIENTS, TavceConfig
from models.tavce.layers import Block, widths

_BINS: Final = 66
_DEG_PER_BIN: Final = 3.0
_FIRST_BIN_DEG: Final = -99.0
_PI: Final = 3.14
"""What the published code takes for pi; its weights know no other."""
_TEMPERATURE: Final = 0.1
_SHRINK: Final = 4


class KeypointDetector(nn.Module):
    """A face to its canonical 3-D key points: a quarter of its size, an hourglass into a volume, soft maxima."""

    shrinker: Tensor

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        sizes, depth = widths(*config.detector), config.detector_depth
        inputs = [3, *sizes[1:-1]]
        self.down = nn.Sequential(*(Block(2, a, b, "down") for a, b in zip(inputs, sizes[1:], strict=True)))
        self.conv = nn.Conv2d(sizes[-1], sizes[-1] * depth, 1)
        self.up = nn.Sequential(*(Block(3, a, b, "up") for a, b in zip(sizes[:0:-1], sizes[-2::-1], strict=True)))
        self.maps = nn.Conv3d(sizes[0], config.keypoints, 3, padding=1)
        self._depth = depth
        self.register_buffer("shrinker", _gaussian(), persistent=False)

    def forward(self, face: Tensor) -> Tensor:
        """Faces [B, 3, S, S], 0 to 1, to points [B, K, 3], x, y, z from -1 to 1."""
        reach = self.shrinker.shape[-1] // 2
        x = F.conv2d(face, self.shrinker, stride=_SHRINK, padding=reach, groups=3)
        x = self.conv(self.down(x))
        maps = self.maps(self.up(x.unflatten(1, (-1, self._depth))))
        shares = (maps.flatten(2) / _TEMPERATURE).softmax(2).view_as(maps)
        grid = identity_grid((maps.shape[2], maps.shape[3], maps.shape[4]), maps)
        return torch.einsum("bkdhw,dhwc->bkc", shares, grid)


def _gaussian() -> Tensor:
    """What a photo is smoothed with before every fourth pixel of it is taken, [3, 1, 13, 13]."""
    sigma = (_SHRINK - 1) / 2
    reach = round(sigma * 4)
    line = torch.exp(-((torch.arange(2 * reach + 1) - reach) ** 2) / (2 * sigma**2))
    kernel = line[:, None] * line[None]
    return (kernel / kernel.sum()).expand(3, 1, -1, -1).clone()


@dataclass(frozen=True)
class Stance:
    """How a head is held and what its face does.

    Attributes:
        angles_deg: Yaw, pitch, roll, [B, 3].
        shift: Translation, of which only y counts, [B, 3].
        expression: Offsets of the key points, [B, K, 3].
    """

    angles_deg: Tensor
    shift: Tensor
    expression: Tensor


class MappingNet(nn.Module):
    """Coefficients around a frame to the stance in it."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        width = config.mapping
        self.first = nn.Conv1d(COEFFICIENTS, width, 7)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 3, dilation=3) for _ in range(3))
        self.yaw, self.pitch, self.roll = (nn.Linear(width, _BINS) for _ in range(3))
        self.shift = nn.Linear(width, 3)
        self.expression = nn.Linear(width, 3 * config.keypoints)

    def forward(self, coefficients: Tensor) -> Stance:
        """Coefficients of the 27 frames around each, [B, 70, 27]: expression 64, angles 3, translation 3."""
        x = self.first(coefficients)
        for layer in self.layers:
            x = layer(F.leaky_relu(x, 0.1)) + x[..., 3:-3]
        x = x.mean(2)
        angles = torch.stack([_degrees(head(x)) for head in (self.yaw, self.pitch, self.roll)], 1)
        return Stance(angles, self.shift(x), self.expression(x).unflatten(1, (-1, 3)))


def _degrees(logits: Tensor) -> Tensor:
    """The mean angle of bins of 3 degrees, [B, 66] to [B]."""
    bins = torch.arange(_BINS, device=logits.device, dtype=logits.dtype)
    return (logits.softmax(1) * bins).sum(1) * _DEG_PER_BIN + _FIRST_BIN_DEG


def place(canonical: Tensor, stance: Stance) -> Tensor:
    """Canonical key points [B, K, 3] turned, shifted and displaced as a stance says, [B, K, 3]."""
    shift = stance.shift * torch.tensor([0.0, 1.0, 0.0], device=canonical.device)
    turned = torch.einsum("bmp,bkp->bkm", rotation(stance.angles_deg), canonical)
    return turned + shift[:, None] + stance.expression


def rotation(angles_deg: Tensor) -> Tensor:
    """Yaw, pitch, roll [B, 3] to matrices [B, 3, 3]: pitch (about x) times yaw (about y) times roll (about z)."""
    yaw, pitch, roll = (angles_deg / 180 * _PI).unbind(1)
    return _about(0, pitch) @ _about(1, yaw) @ _about(2, roll)


def _about(axis: int, angle: Tensor) -> Tensor:
    """Right-handed turns about one axis, [B] to [B, 3, 3]."""
    one, other = (axis + 1) % 3, (axis + 2) % 3
    matrix = torch.eye(3, device=angle.device, dtype=angle.dtype).repeat(len(angle), 1, 1)
    matrix[:, one, one] = matrix[:, other, other] = angle.cos()
    matrix[:, other, one], matrix[:, one, other] = angle.sin(), -angle.sin()
    return matrix
