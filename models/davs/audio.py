"""DAVS's audio encoder: a window of MFCCs to the word code, by a square and a tall look at it."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.davs.config import CEPSTRA, DavsConfig

_SLOPE: Final = 0.2


class SquareBranch(nn.Module):
    """3x3 kernels over time and cepstrum, 20x12 to 7x7, 4x4, 2x2 and 1x1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, (3, 2), (1, 2), bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, 2, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * width)
        self.conv3 = nn.Conv2d(2 * width, 4 * width, 3, bias=False)
        self.norm3 = nn.BatchNorm2d(4 * width)
        self.conv4 = nn.Conv2d(4 * width, 8 * width, 2, bias=False)

    def forward(self, window: Tensor) -> Tensor:
        """[B, 1, 20, 12] to [B, 8 width]."""
        x = F.leaky_relu(self.norm1(self.conv1(window)), _SLOPE)
        x = F.leaky_relu(self.norm2(self.conv2(x)), _SLOPE)
        x = F.leaky_relu(self.norm3(self.conv3(x)), _SLOPE)
        return self.conv4(x).flatten(1)


class TallBranch(nn.Module):
    """Kernels as wide as all cepstra, then along time; between them only every third and every second row is kept.

    The published code drops the rows by max pooling with a kernel of 1.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, (3, CEPSTRA), bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 4 * width, (3, 1), padding=(1, 0), bias=False)
        self.norm2 = nn.BatchNorm2d(4 * width)
        self.conv3 = nn.Conv2d(4 * width, 8 * width, (3, 1), bias=False)

    def forward(self, window: Tensor) -> Tensor:
        """[B, 1, 20, 12] to [B, 8 width]."""
        x = F.leaky_relu(self.norm1(self.conv1(window)), _SLOPE)[:, :, ::3]
        x = F.leaky_relu(self.norm2(self.conv2(x)), _SLOPE)[:, :, ::2]
        return self.conv3(x).flatten(1)


class AudioEncoder(nn.Module):
    """Sound to the word code ("wid"), the space that lips share. Source: published `mfcc_encoder_two`."""

    def __init__(self, config: DavsConfig) -> None:
        super().__init__()
        self.square = SquareBranch(config.audio_width)
        self.tall = TallBranch(config.audio_width)
        self.fc = nn.Linear(16 * config.audio_width, config.code)

    def forward(self, windows: Tensor) -> Tensor:
        """Windows of `mfcc12`, [B, 1, 20, 12] (rows of 10 ms, cepstra 1 to 12), to word codes [B, code]."""
        return self.fc(torch.cat([self.square(windows), self.tall(windows)], 1))
