"""The decoder: warped features to a frame, told at every layer again what they were.

Source: Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019, section 3. The
published convolutions carry a spectral norm, which loading folds into them.
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.tavce.config import TavceConfig

_SLOPE: Final = 0.2
_PHASES: Final = 3
"""A 3x3 window over a map enlarged by repeating meets, along each axis, at most three different neighbourhoods of a
cell: its first row, its middle ones, its last."""


class Spade(nn.Module):
    """Instance norm whose scale and shift are read off the features that the decoder began with."""

    def __init__(self, width: int, condition: int, hidden: int) -> None:
        super().__init__()
        self.shared = nn.Conv2d(condition, hidden, 3, padding=1)
        self.gamma, self.beta = (nn.Conv2d(hidden, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[B, width, H, W] by features [B, condition, h, w], H a multiple of h, to the same shape."""
        told = self._told(condition, x.shape[2] // condition.shape[2])
        return F.instance_norm(x) * (1 + self.gamma(told)) + self.beta(told)

    def _told(self, condition: Tensor, factor: int) -> Tensor:
        """The hidden map at `factor` times the size, computed at three times the size where that is less. Exact."""
        few = min(factor, _PHASES)
        told = F.relu(self.shared(F.interpolate(condition, scale_factor=float(few), mode="nearest")))
        if few == factor:
            return told
        phases = [0] + [1] * (factor - 2) + [2]
        for axis in (2, 3):
            cells = torch.arange(condition.shape[axis], device=told.device)
            rows = (cells[:, None] * few + torch.tensor(phases, device=told.device)).flatten()
            told = told.index_select(axis, rows)
        return told


class SpadeBlock(nn.Module):
    """Two convolutions, each after SPADE and a leaky ReLU, added to the input."""

    def __init__(self, inputs: int, outputs: int, condition: int, hidden: int) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.conv_0 = nn.Conv2d(inputs, middle, 3, padding=1)
        self.conv_1 = nn.Conv2d(middle, outputs, 3, padding=1)
        self.norm_0 = Spade(inputs, condition, hidden)
        self.norm_1 = Spade(middle, condition, hidden)
        self.changes = inputs != outputs
        if self.changes:
            self.conv_s = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.norm_s = Spade(inputs, condition, hidden)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H, W]."""
        y = self.conv_0(F.leaky_relu(self.norm_0(x, condition), _SLOPE))
        y = self.conv_1(F.leaky_relu(self.norm_1(y, condition), _SLOPE))
        return y + (self.conv_s(self.norm_s(x, condition)) if self.changes else x)


class SpadeDecoder(nn.Module):
    """Residual blocks at a quarter of the frame, then doubled twice."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        width, hidden = 4 * config.stem, config.spade
        self.fc = nn.Conv2d(width, 2 * width, 3, padding=1)
        blocks = (SpadeBlock(2 * width, 2 * width, width, hidden) for _ in range(config.spade_blocks))
        self.middle = nn.ModuleList(blocks)
        self.up_0 = SpadeBlock(2 * width, width, width, hidden)
        self.up_1 = SpadeBlock(width, config.stem, width, hidden)
        self.conv_img = nn.Conv2d(config.stem, 3, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, 4 stem, S / 4, S / 4] to frames [B, 3, S, S], 0 to 1."""
        x = self.fc(features)
        for block in self.middle:
            x = block(x, features)
        for block in (self.up_0, self.up_1):
            x = block(F.interpolate(x, scale_factor=2.0, mode="nearest"), features)
        return torch.sigmoid(self.conv_img(F.leaky_relu(x, _SLOPE)))
