"""Convolution, batch norm and activation, in two and three dimensions: what face-vid2vid's networks are built of."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Sizing = Literal["same", "down", "up"]
_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class Block(nn.Module):
    """Convolution of kernel 3, batch norm, activation; halved after ("down") or doubled before it ("up").

    Height and width alone change size; volumes keep their depth.
    """

    def __init__(
        self, dimensions: int, inputs: int, outputs: int, sizing: Sizing = "same", *, slope: float = 0.0
    ) -> None:
        super().__init__()
        self.conv = _CONV[dimensions](inputs, outputs, 3, padding=1)
        self.norm = _NORM[dimensions](outputs)
        self._factor = (2.0, 2.0) if dimensions == 2 else (1.0, 2.0, 2.0)
        self._pool = F.avg_pool2d if dimensions == 2 else F.avg_pool3d
        self._sizing, self._slope = sizing, slope

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, ..., H, W] to [B, outputs, ..., H', W']."""
        if self._sizing == "up":
            x = F.interpolate(x, scale_factor=self._factor, mode="nearest")
        x = F.leaky_relu(self.norm(self.conv(x)), self._slope)
        return self._pool(x, tuple(int(n) for n in self._factor)) if self._sizing == "down" else x


class VolumeResidual(nn.Module):
    """Two convolutions of a volume, each after norm and ReLU, added to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv3d(width, width, 3, padding=1) for _ in range(2))
        self.norm1, self.norm2 = (nn.BatchNorm3d(width) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, D, H, W] to the same shape."""
        y = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(y)))


def widths(first: int, most: int, levels: int) -> list[int]:
    """Channels of each level of an hourglass, doubling up to a limit; `levels` + 1 numbers."""
    return [min(most, first << level) for level in range(levels + 1)]
