"""PC-AVS's audio encoder: a squeeze-and-excitation ResNet-34 over a mel window, pooled over time by attention.

Layers as systems.md, 2.3 (`ResSESyncEncoder`); attribute names are those of the published checkpoint, which has them
under `model.`.
"""

from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from models.pcavs.config import PcavsConfig

MEL_BANDS: Final = 80
MEL_FRAMES: Final = 20

_BLOCKS: Final = (3, 4, 6, 3)
_SQUEEZE: Final = 8


class SqueezeExcite(nn.Module):
    """Channel gates from the channels' means. Source: Hu et al., CVPR 2018, equations 2 to 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // _SQUEEZE
        self.fc = nn.Sequential(nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the same shape."""
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]


class SqueezeBlock(nn.Module):
    """Two 3 x 3 convolutions, gated; the first is bent before it is normalised, as published."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.se = SqueezeExcite(outputs)
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H / stride, W / stride], rounded up."""
        y = self.bn1(F.relu(self.conv1(x)))
        y = self.se(self.bn2(self.conv2(y)))
        return F.relu(y + self.downsample(x))


class SyncEncoder(nn.Module):
    """A mel window to a mouth feature in the space that audio and video share."""

    def __init__(self, config: PcavsConfig) -> None:
        super().__init__()
        widths = config.audio_widths
        self.conv1, self.bn1 = nn.Conv2d(1, widths[0], 3, 1, 1), nn.BatchNorm2d(widths[0])
        self.layer1 = _stage(widths[0], widths[0], _BLOCKS[0], 1)
        self.layer2 = _stage(widths[0], widths[1], _BLOCKS[1], 2)
        self.layer3 = _stage(widths[1], widths[2], _BLOCKS[2], 2)
        self.layer4 = _stage(widths[2], widths[3], _BLOCKS[3], 2)
        flat = widths[3] * MEL_BANDS // 8
        self.attention = nn.Sequential(
            nn.Conv1d(flat, config.attention, 1),
            nn.ReLU(),
            nn.BatchNorm1d(config.attention),
            nn.Conv1d(config.attention, flat, 1),
            nn.Softmax(dim=2),
        )
        self.fc = nn.Linear(flat, config.motion.features)

    def forward(self, mel: Tensor) -> Tensor:
        """Encode `lws_mel80` windows.

        Args:
            mel: [B, 1, 80, 20], bands by frames of 10 ms, 0 to 1.

        Returns:
            [B, features].
        """
        x = self.bn1(F.relu(self.conv1(mel)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = x.flatten(1, 2)  # [B, channels * 10 bands, 3 steps]
        return self.fc((x * self.attention(x)).sum(2))


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = SqueezeBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(SqueezeBlock(outputs, outputs, 1) for _ in range(blocks - 1)))
