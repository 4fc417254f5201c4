"""From key points to a dense way back into the photo's volume. Source: CVPR 2021, section 3.2."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.warp import identity_grid, warp
from models.tavce.config import TavceConfig
from models.tavce.layers import Block, widths

_VARIANCE: Final = 0.01
_LEAST_SHARE: Final = 1e-3
"""Shares of a motion below it count as none."""


class Hourglass(nn.Module):
    """Volumes halved in height and width and brought back, each level joined by what it was before."""

    def __init__(self, inputs: int, sizes: list[int]) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            Block(3, a, b, "down") for a, b in zip([inputs, *sizes[1:-1]], sizes[1:], strict=True)
        )
        joined = [sizes[-1], *(2 * size for size in sizes[-2:0:-1])]
        self.up = nn.ModuleList(Block(3, a, b, "up") for a, b in zip(joined, sizes[-2::-1], strict=True))
        self.last = Block(3, sizes[0] + inputs, sizes[0] + inputs)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, D, H, W] to [B, sizes[0] + inputs, D, H, W]."""
        before = [x]
        for block in self.down:
            before.append(block(before[-1]))
        x = before.pop()
        for block in self.up:
            x = torch.cat([block(x), before.pop()], 1)
        return self.last(x)


class DenseMotion(nn.Module):
    """Weighs, at every place, the motions of the key points, and tells where the photo shows nothing."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        motions, sizes = config.keypoints + 1, widths(*config.motion)
        channels, depth = config.volume
        self.compress = nn.Conv3d(channels, config.compressed, 1)
        self.norm = nn.BatchNorm3d(config.compressed)
        inputs = motions * (config.compressed + 1)
        self.hourglass = Hourglass(inputs, sizes)
        self.mask = nn.Conv3d(sizes[0] + inputs, motions, 7, padding=3)
        self.occlusion = nn.Conv2d((sizes[0] + inputs) * depth, 1, 7, padding=3)

    def forward(self, volume: Tensor, driving: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """Find the way back from each place of the frame to the photo.

        Args:
            volume: The photo's features, [B, C, D, H, W].
            driving, source: Key points of the frame and of the photo, [B, K, 3], -1 to 1.

        Returns:
            Where each place comes from, [B, D, H, W, 3], -1 to 1, and how much of it the photo shows, [B, 1, H, W].
        """
        batch, _, depth, height, width = volume.shape
        grid = identity_grid((depth, height, width), volume)
        motions = _motions(grid, driving, source)  # [B, K + 1, D, H, W, 3]
        small = F.relu(self.norm(self.compress(volume)))
        repeated = small[:, None].expand(-1, motions.shape[1], -1, -1, -1, -1).flatten(0, 1)
        moved = warp(repeated, motions.flatten(0, 1), align_corners=False).unflatten(0, (batch, -1))
        heat = F.pad(_heat(grid, driving) - _heat(grid, source), (0, 0, 0, 0, 0, 0, 1, 0))
        x = self.hourglass(torch.cat([heat[:, :, None], moved], 2).flatten(1, 2))
        shares = _within(self.mask, x).softmax(1)
        shares = torch.where(shares < _LEAST_SHARE, 0.0, shares)
        back = torch.einsum("bkdhw,bkdhwc->bdhwc", shares, motions)
        return back, torch.sigmoid(self.occlusion(x.flatten(1, 2)))


def _within(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """A convolution that keeps the size, without the planes of its kernel that see nothing but padding. Exact."""
    depth, reach = x.shape[2], conv.kernel_size[0] // 2
    seen = min(depth - 1, reach)
    weight = conv.weight[:, :, reach - seen : reach + seen + 1]
    return F.conv3d(x, weight, conv.bias, padding=(seen, reach, reach))


def _motions(grid: Tensor, driving: Tensor, source: Tensor) -> Tensor:
    """Where each place would come from if it moved as the background, or as one key point, does."""
    moved = grid - driving[:, :, None, None, None] + source[:, :, None, None, None]
    still = grid.expand(len(driving), 1, *grid.shape)
    return torch.cat([still, moved], 1)


def _heat(grid: Tensor, points: Tensor) -> Tensor:
    """Gaussians about key points, [B, K, D, H, W]."""
    apart = (grid - points[:, :, None, None, None]).square().sum(-1)
    return torch.exp(-0.5 * apart / _VARIANCE)
