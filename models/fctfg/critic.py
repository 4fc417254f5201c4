"""FC-TFG's discriminator: the residual one of StyleGAN2.

Source: Karras et al., CVPR 2020, section 4; minibatch deviation: Karras et al., "Progressive Growing of GANs", ICLR
2018, section 3.
"""

import math
from itertools import pairwise
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.modulated import GAIN, SLOPE, Blur, EqualConv2d, EqualLinear, FusedLeakyReLU

GROUP: Final = 4
"""Pictures whose deviation is measured together."""


def _bent_conv(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(EqualConv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), FusedLeakyReLU(outputs))


class HalvingBlock(nn.Module):
    """Two 3 x 3 convolutions, the second low-passed and of stride 2, plus the input by a 1 x 1; over sqrt(2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = _bent_conv(inputs, inputs, 3)
        self.conv2 = nn.Sequential(
            Blur(2), EqualConv2d(inputs, outputs, 3, stride=2, bias=False), FusedLeakyReLU(outputs)
        )
        self.skip = nn.Sequential(Blur(1), EqualConv2d(inputs, outputs, 1, stride=2, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H / 2, W / 2]."""
        return (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2.0)


class ResidualCritic(nn.Module):
    """A picture to one score.

    Args:
        widths: Channels at full size and after each halving, down to 4 px.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.from_rgb = _bent_conv(3, widths[0], 1)
        self.blocks = nn.Sequential(*(HalvingBlock(a, b) for a, b in pairwise(widths)))
        self.conv = _bent_conv(widths[-1] + 1, widths[-1], 3)
        self.hidden, self.score = EqualLinear(widths[-1] * 16, widths[-1]), EqualLinear(widths[-1], 1)

    def forward(self, picture: Tensor) -> Tensor:
        """[B, 3, 4 * 2 ** n, ...], -1 to 1, to scores [B, 1]; see `deviation` for B."""
        x = self.blocks(self.from_rgb(picture))
        x = self.conv(torch.cat([x, deviation(x)], 1))
        return self.score(F.leaky_relu(self.hidden(x.flatten(1)), SLOPE) * GAIN)


def deviation(x: Tensor) -> Tensor:
    """How much the pictures of a group differ, one number as a map: [B, C, H, W] to [B, 1, H, W].

    A group has four pictures, or the most below that of which B is a multiple: batches of 4 n are best.
    """
    batch = x.shape[0]
    group = next(size for size in range(GROUP, 0, -1) if batch % size == 0)
    per_group = x.view(group, batch // group, *x.shape[1:])
    spread = (per_group.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))  # [groups]
    return spread.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:])
