"""Temporal audio-visual correlation: how sound and mouth change between two frames, compared.

The published code forms the covariance of two features as rows, C = m^T m with m the rows less their mean. With
d = x - y that is d d^T / 2: of rank 1. So its row-normalised diagonal, which gates the renderer, is |d| / |d|_2, and
the cosine of two such matrices is the squared cosine of their d. Here only the vectors are formed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.wav2lip_audio import Wav2LipAudio
from models.tavce.config import TavceConfig

MOUTH_PX = 112
"""Side of a mouth picture as the encoder sees it; it is cut out as 72 px of 256."""


def gate(before: Tensor, now: Tensor) -> Tensor:
    """How much each channel takes part in a change, [B, C] twice to [B, C], 0 to 1; all 0 where nothing changes."""
    return F.normalize((now - before).abs(), dim=1)


def likeness(one: Tensor, other: Tensor) -> Tensor:
    """The squared cosine of two changes, [B, C] and [B, C] to [B], 0 to 1; 0 where nothing changes."""
    return F.cosine_similarity(one, other, dim=1).square()


def crop_mouths(frames: Tensor, centres_px: Tensor) -> Tensor:
    """Cut mouths out of frames; gradients flow to the frames.

    Args:
        frames: [B, 3, S, S], 0 to 1.
        centres_px: Medians of the mouths' landmarks, x, y, [B, 2]; moved inwards where a cut would leave the frame.

    Returns:
        [B, 3, 112, 112], -1 to 1.
    """
    size = frames.shape[-1]
    half = 36 * size // 256
    corners = centres_px.long().clamp(half, size - half) - half
    cuts = [f[:, y : y + 2 * half, x : x + 2 * half] for f, (x, y) in zip(frames, corners.tolist(), strict=True)]
    mouths = F.interpolate(torch.stack(cuts), size=(MOUTH_PX, MOUTH_PX), mode="bilinear", align_corners=False)
    return 2 * mouths - 1


class SoundEncoder(nn.Module):
    """`wav2lip_mel80` windows to the features whose change is correlated."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        self.audio_encoder = Wav2LipAudio(config.audio)
        self.fc = nn.Linear(config.audio[-1], config.correlation)

    def forward(self, windows: Tensor) -> Tensor:
        """[B, 1, 80, 16] to [B, correlation]."""
        return self.fc(self.audio_encoder(windows))


class _Residual(nn.Module):
    """ArcFace's residual block: norm, convolution, norm, PReLU, strided convolution, norm."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x)))))
        return self.bn3(y) + self.downsample(x)


class MouthEncoder(nn.Module):
    """ArcFace's IResNet-18 on a mouth, to the features whose change is correlated. Keys are the published ones."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        first, *_, last = config.mouth
        self.conv1 = nn.Conv2d(3, first, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.prelu = nn.PReLU(first)
        pairs = zip((first, *config.mouth[:3]), config.mouth, strict=True)
        stages = [nn.Sequential(_Residual(a, b, 2), _Residual(b, b, 1)) for a, b in pairs]
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.bn2 = nn.BatchNorm2d(last)
        self.fc = nn.Linear(last * (MOUTH_PX // 16) ** 2, config.correlation)
        self.features = nn.BatchNorm1d(config.correlation)
        self.features.weight.requires_grad_(False)

    def forward(self, mouths: Tensor) -> Tensor:
        """[B, 3, 112, 112], -1 to 1, to [B, correlation]."""
        x = self.prelu(self.bn1(self.conv1(mouths)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.bn2(x).flatten(1)))
