"""DAVS's identity encoder: a face to the person's code, and to the maps that the decoder and an adversary read."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.davs.config import DavsConfig


@dataclass(frozen=True)
class Person:
    """What the identity encoder gives ("pid" in the paper).

    Attributes:
        code: [B, code], the decoder's seed together with the word code.
        map: The second stage's map, [B, C, S / 8, S / 8], which the decoder joins.
        early: The first stage's map, [B, C, S / 4, S / 4], which must not tell the word that is being spoken.
    """

    code: Tensor
    map: Tensor
    early: Tensor


class MaxBlock(nn.Module):
    """Two convolutions side by side, each normalised; of each value the larger counts. No other nonlinearity."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, spread: float) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(2))
        for conv in self.convs:
            nn.init.normal_(conv.get_parameter("weight"), std=spread)
            nn.init.zeros_(conv.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        one, other = (norm(conv(x)) for conv, norm in zip(self.convs, self.norms, strict=True))
        return torch.maximum(one, other)


class IdentityEncoder(nn.Module):
    """A stem and four stages, halved before each.

    The spread of a fresh weight is 1 / (3 sqrt(outputs)), in the stem 1 / (7 sqrt(outputs)), as in the published code,
    for the 5x5 kernels of the last stage too.
    """

    def __init__(self, config: DavsConfig) -> None:
        super().__init__()
        self.stem = MaxBlock(3, config.stem, 7, stride=2, spread=1 / (7 * config.stem**0.5))
        self.stages = nn.ModuleList()
        inputs, last = config.stem, len(config.stages) - 1
        for number, widths in enumerate(config.stages):
            blocks = list[nn.Module]()
            for width in widths:
                blocks.append(MaxBlock(inputs, width, 5 if number == last else 3, spread=1 / (3 * width**0.5)))
                inputs = width
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, face: Tensor) -> Person:
        """Faces in DAVS's crop, [B, 3, S, S], 0 (black) to 1 (white), RGB."""
        early = self.early(face)
        maps = [early]
        for stage in self.stages[1:]:
            maps.append(stage(F.max_pool2d(maps[-1], 2)))
        return Person(code=maps[-1].mean((2, 3)), map=maps[1], early=early)

    def early(self, face: Tensor) -> Tensor:
        """`Person.early` of such faces alone."""
        return self.stages[0](F.max_pool2d(self.stem(face), 2))
