"""PC-AVS's identity encoder: ResNeXt-50, a vector and maps of who is on the photo.

Source: Xie et al., "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017, table 1 (32 x 4d);
systems.md, 2.3 (`ResNeXtEncoder`). Attribute names are torchvision's, as in the published checkpoint (`model.`).
"""

from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.carried import Carrier
from models.pcavs.config import PcavsConfig

_BLOCKS: Final = (3, 4, 6, 3)
_EXPANSION: Final = 4


class Bottleneck(nn.Module):
    """1 x 1, grouped 3 x 3 and 1 x 1 convolution, each normalised, plus the input; ReLU last."""

    def __init__(self, inputs: int, planes: int, groups: int, stride: int) -> None:
        super().__init__()
        inner, outputs = 2 * planes, _EXPANSION * planes
        self.conv1, self.bn1 = nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, 4 planes, H / stride, W / stride]."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNeXt(nn.Module):
    """The trunk: a picture to maps of half to a thirty-second of its size."""

    def __init__(self, planes: tuple[int, int, int, int], groups: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, planes[0], 7, 2, 3, bias=False), nn.BatchNorm2d(planes[0])
        self.channels = [planes[0], *(_EXPANSION * p for p in planes)]
        self.layer1 = _stage(planes[0], planes[0], groups, _BLOCKS[0], 1)
        self.layer2 = _stage(self.channels[1], planes[1], groups, _BLOCKS[1], 2)
        self.layer3 = _stage(self.channels[2], planes[2], groups, _BLOCKS[2], 2)
        self.layer4 = _stage(self.channels[3], planes[3], groups, _BLOCKS[3], 2)

    def forward(self, picture: Tensor) -> list[Tensor]:
        """[B, 3, H, W] to the first map and the last of each stage, [B, channels[i], H / 2 ** (i + 1), ...]."""
        maps = [F.relu(self.bn1(self.conv1(picture)))]
        x = F.max_pool2d(maps[0], 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps


class IdentityEncoder(nn.Module):
    """One or several photos of a person to the identity vector and what the generator is given of them.

    The start map is made of the trunk's coarsest map that is not smaller: as published, the last.
    """

    def __init__(self, config: PcavsConfig) -> None:
        super().__init__()
        self.model = ResNeXt(config.identity_planes, config.identity_groups)
        self._start_px, sides = config.generator.start_px, [config.frame_px >> (level + 1) for level in range(5)]
        self._level = max(level for level, side in enumerate(sides) if side >= self._start_px)
        self.conv1x1 = nn.Conv2d(self.model.channels[self._level], config.generator.widths[0], 1)
        self.carrier = Carrier((3, *self.model.channels), config.generator.carried)

    def forward(self, photos: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encode.

        Args:
            photos: RGB, -1 to 1, [B, 3, S, S], or [B, references, 3, S, S] to average over. Features are carried from
                the first alone: averaged, they would show two faces.

        Returns:
            Vector [B, identity], and start map [B, widths[0], start_px, start_px] and what `synthesize` carries.
        """
        if photos.dim() == 5:
            vector, maps = self(photos.flatten(0, 1))
            vector, start, *carried = (one.unflatten(0, photos.shape[:2]) for one in (vector, *maps))
            return vector.mean(1), [start.mean(1), *(one[:, 0] for one in carried)]
        maps = self.model(photos)
        start = F.adaptive_avg_pool2d(self.conv1x1(maps[self._level]), self._start_px)
        return maps[-1].mean((2, 3)), [start, *self.carrier([photos, *maps])]


def _stage(inputs: int, planes: int, groups: int, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(inputs, planes, groups, stride)
    stay = (Bottleneck(_EXPANSION * planes, planes, groups, 1) for _ in range(blocks - 1))
    return nn.Sequential(first, *stay)
