"""The nets of the correlation's training that redraw a mouth from its neighbour and the change of sound.

Source: Wang et al., "High-Resolution Image Synthesis with Conditional GANs", CVPR 2018 (the global generator), gated.
"""

import torch
from torch import Tensor, nn

from models.tavce.config import TavceConfig


def _norm(width: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(width, affine=False, track_running_stats=True)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        once = (nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), _norm(width))
        again = (nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), _norm(width))
        self.conv_block = nn.Sequential(*once, nn.ReLU(), *again)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Redrawer(nn.Module):
    """One mouth to the next (or the one before), knowing how the sound changed in between."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        width = config.redraw
        down: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), _norm(width), nn.ReLU()]
        for _ in range(3):
            down += [nn.Conv2d(width, 2 * width, 3, 2, 1), _norm(2 * width), nn.ReLU()]
            width *= 2
        self.down = nn.Sequential(*down, *(_Residual(width) for _ in range(5)))
        self.res = nn.Sequential(*(_Residual(width) for _ in range(4)))
        self.proj1 = nn.Sequential(nn.Conv2d(width, config.correlation, 1, bias=False), _norm(config.correlation))
        self.proj2 = nn.Sequential(nn.Conv2d(config.correlation, width, 1, bias=False), _norm(width))
        up: list[nn.Module] = []
        for _ in range(3):
            up += [nn.ConvTranspose2d(width, width // 2, 3, 2, 1, 1), _norm(width // 2), nn.ReLU()]
            width //= 2
        self.up = nn.Sequential(*up)
        self.last = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7))

    def forward(self, mouths: Tensor, gate: Tensor) -> Tensor:
        """Mouths [B, 3, 112, 112], -1 to 1, by the gate [B, correlation] to mouths of the same shape."""
        x = self.down(mouths)
        x = x + self.proj2(gate[:, :, None, None] * self.proj1(x))
        return torch.tanh(self.last(self.up(self.res(x))))
