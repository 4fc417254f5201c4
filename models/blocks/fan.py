"""The FAN trunk that DAVS (256 px faces) and PC-AVS (224 px faces) read motion with: one hourglass, 68 maps, a vector.

Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D face alignment problem?", ICCV 2017, section 3, with
one stack of four; DAVS (AAAI 2019) adds dropout and bilinear upsampling to the hourglass, and the small head.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class FanConfig:
    """Sizes of a `FanEncoder`.

    Attributes:
        image_px: Side of the square face, a multiple of 64.
        features: Length of the vector that comes out.
        width: Channels inside the hourglass, a multiple of 16.
        maps: Channels of the map that the trunk ends in: one per landmark.
        depth: How often the hourglass halves its map.
        align_corners: How it samples up: True as PyTorch did before 0.4 (DAVS), False as since (PC-AVS).
    """

    image_px: int = 256
    features: int = 256
    width: int = 256
    maps: int = 68
    depth: int = 4
    align_corners: bool = False


class PyramidBlock(nn.Module):
    """Three convolutions, each fed by the one before; their outputs side by side, plus the input.

    Normalisation and ReLU come before each convolution. Source: ICCV 2017, figure 1 b.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        widths = (inputs, outputs // 2, outputs // 4, outputs // 4)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[:3])
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairwise(widths))
        self.shortcut = nn.Sequential()
        if inputs != outputs:
            self.shortcut = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H, W]."""
        parts, last = list[Tensor](), x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            last = conv(F.relu(norm(last)))
            parts.append(last)
        return torch.cat(parts, 1) + self.shortcut(x)


class Hourglass(nn.Module):
    """Maps halved `depth` times and brought back, each scale with a branch of its own that skips the smaller ones."""

    def __init__(self, width: int, depth: int, *, align_corners: bool) -> None:
        super().__init__()
        self._align_corners = align_corners
        self.upper = PyramidBlock(width, width)
        self.dropout = nn.Dropout(0.5)
        self.before = PyramidBlock(width, width)
        self.inner: nn.Module = PyramidBlock(width, width)
        if depth > 1:
            self.inner = Hourglass(width, depth - 1, align_corners=align_corners)
        self.after = PyramidBlock(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] to the same shape."""
        low = self.after(self.inner(self.before(F.max_pool2d(x, 2))))
        size = (x.shape[2], x.shape[3])
        raised = F.interpolate(low, size=size, mode="bilinear", align_corners=self._align_corners)
        return self.dropout(self.upper(x)) + raised


class FanTrunk(nn.Module):
    """A face to landmark-like maps of a quarter of its size."""

    cell_px: Final = 4

    def __init__(self, config: FanConfig) -> None:
        super().__init__()
        width = config.width
        self.stem = nn.Conv2d(3, width // 4, 7, stride=2, padding=3)
        self.stem_norm = nn.BatchNorm2d(width // 4)
        self.block1 = PyramidBlock(width // 4, width // 2)
        self.block2 = PyramidBlock(width // 2, width // 2)
        self.block3 = PyramidBlock(width // 2, width)
        self.hourglass = Hourglass(width, config.depth, align_corners=config.align_corners)
        self.block4 = PyramidBlock(width, width)
        self.mix = nn.Conv2d(width, width, 1)
        self.mix_norm = nn.BatchNorm2d(width)
        self.maps = nn.Conv2d(width, config.maps, 1)

    def forward(self, face: Tensor) -> Tensor:
        """Faces [B, 3, S, S], scaled as the system says, to maps [B, maps, S / 4, S / 4]."""
        x = F.max_pool2d(self.block1(F.relu(self.stem_norm(self.stem(face)))), 2)
        x = self.block4(self.hourglass(self.block3(self.block2(x))))
        return self.maps(F.relu(self.mix_norm(self.mix(x))))


def landmark_maps(points: Tensor, places: Tensor, spread: float) -> Tensor:
    """What a trunk that finds landmarks should answer: a bump of height 1 about each (ICCV 2017, section 3).

    Args:
        points: x, y, [B, P, 2].
        places: x, y of every cell, in the same units, [2, H, W].
        spread: Standard deviation of a bump, in those units.

    Returns:
        [B, P, H, W].
    """
    off = places - points[..., None, None]
    return (-0.5 * (off / spread).square().sum(2)).exp()


class FanEncoder(nn.Module):
    """The trunk and the head that turns its maps into one vector.

    Source: DAVS `FanFusion`, PC-AVS `FanEncoder`: 68 maps, ReLU, one 3x3 stride-2 convolution to a single map, Linear.
    """

    def __init__(self, config: FanConfig) -> None:
        super().__init__()
        self.trunk = FanTrunk(config)
        self.norm = nn.BatchNorm2d(config.maps)
        self.conv = nn.Conv2d(config.maps, 1, 3, stride=2, padding=1)
        self.fc = nn.Linear((config.image_px // 8) ** 2, config.features)
        nn.init.uniform_(self.conv.weight, 0.0, (9 * config.maps) ** -0.5)  # one map, rectified: negative, it were dead

    def forward(self, face: Tensor) -> Tensor:
        """Faces [B, 3, S, S] to vectors [B, features]."""
        return self.head(self.trunk(face))

    def head(self, maps: Tensor) -> Tensor:
        """The trunk's maps to vectors [B, features]."""
        x = self.conv(F.relu(self.norm(maps)))
        return self.fc(F.relu(x.flatten(1)))


_BLOCK: Final = {
    **{f"{kind}{i + 1}": f"{name}s.{i}" for kind, name in (("bn", "norm"), ("conv", "conv")) for i in range(3)},
    "downsample": "shortcut",
}


def published_names(depth: int = 4) -> dict[str, str]:
    """Where the modules of the published trunk (`conv1`, `m0.b1_4.bn1`, ...) are found in `FanTrunk`.

    `conv5`, `conv6` and `fc` of the published trunk feed nothing and have no place here.
    """
    blocks = {"conv2": "block1", "conv3": "block2", "conv4": "block3", "top_m_0": "block4"}
    scale = "hourglass"
    for level in range(depth, 0, -1):
        blocks |= {f"m0.b{n}_{level}": f"{scale}.{name}" for n, name in ((1, "upper"), (2, "before"), (3, "after"))}
        scale += ".inner"
    blocks["m0.b2_plus_1"] = scale
    plain = {"conv1": "stem", "bn1": "stem_norm", "conv_last0": "mix", "bn_end0": "mix_norm", "l0": "maps"}
    inside = {f"{a}.{x}": f"{b}.{y}" for a, b in blocks.items() for x, y in _BLOCK.items()}
    return plain | inside
