"""TAVCE's renderer: a photo, key points and the change of sound to a frame."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.warp import warp
from models.tavce.config import TavceConfig
from models.tavce.layers import Block, VolumeResidual
from models.tavce.motion import DenseMotion
from models.tavce.spade import SpadeDecoder


@dataclass(frozen=True)
class Encoded:
    """What the renderer can compute of a photo before any sound is known.

    Attributes:
        still: What the gate leaves as it is, biases included, [B, features, S / 4, S / 4].
        gated: What the gate weighs, channel by channel, [B, correlation, S / 4, S / 4].
    """

    still: Tensor
    gated: Tensor


@dataclass(frozen=True)
class Moved:
    """A photo's features and where a frame finds them.

    Attributes:
        volume: [B, C, D, S / 4, S / 4].
        back, shown: Where each place of the frame comes from, and how much of it the photo shows: see `DenseMotion`.
    """

    volume: Tensor
    back: Tensor
    shown: Tensor


class Generator(nn.Module):
    """Encode the photo, weigh its channels by how the sound changes, make a volume of it, warp and decode it."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        stem, features = config.stem, config.features
        self.first = Block(2, 3, stem)
        self.down = nn.Sequential(Block(2, stem, 2 * stem, "down"), Block(2, 2 * stem, 4 * stem, "down"))
        self.second = nn.Conv2d(4 * stem, features, 1)
        self.proj1 = nn.Conv2d(features, config.correlation, 1)
        self.proj2 = nn.Conv2d(config.correlation, features, 1)
        self.linear = nn.Conv2d(features, features, 1)
        self._volume = config.volume
        self.volume = nn.Sequential(*(VolumeResidual(config.volume[0]) for _ in range(config.volume_blocks)))
        self.motion = DenseMotion(config)
        self.third = Block(2, features, 4 * stem, slope=0.01)
        self.fourth = nn.Conv2d(4 * stem, 4 * stem, 1)
        self.decoder = SpadeDecoder(config)

    def forward(self, photo: Tensor, gate: Tensor, driving: Tensor, source: Tensor) -> Tensor:
        """Frames [B, 3, S, S], 0 to 1. Arguments as for `encode` and `render`."""
        return self.render(self.encode(photo), gate, driving, source)

    def encode(self, photo: Tensor) -> Encoded:
        """The part that is the same for every frame of a photo [B, 3, S, S], 0 to 1.

        The gate, linear(x + proj2(w * proj1(x))), is linear in what it weighs: linear(x + proj2's bias) is what it
        leaves as it is.
        """
        x = self.second(self.down(self.first(photo)))
        bias = self.proj2.bias
        assert bias is not None
        return Encoded(still=self.linear(x + bias[:, None, None]), gated=self.proj1(x))

    def render(self, photo: Encoded, gate: Tensor, driving: Tensor, source: Tensor) -> Tensor:
        """Draw frames of encoded photos.

        Args:
            photo: What `encode` gave.
            gate: How much each channel of the sound's features changed, [B, correlation], 0 to 1; see `correlation`.
            driving, source: Key points of the frame and of the photo, [B, K, 3], -1 to 1.

        Returns:
            [B, 3, S, S], 0 to 1.
        """
        return self.paint(self.move(photo, gate, driving, source))

    def move(self, photo: Encoded, gate: Tensor, driving: Tensor, source: Tensor) -> Moved:
        """Find out where everything comes from; arguments as for `render`."""
        both = self.linear.weight.flatten(1) @ self.proj2.weight.flatten(1)  # [features, correlation]
        x = photo.still + F.conv2d(photo.gated * gate[:, :, None, None], both[:, :, None, None])
        volume = self.volume(x.unflatten(1, self._volume))
        return Moved(volume, *self.motion(volume, driving, source))

    def paint(self, moved: Moved) -> Tensor:
        """The frames of what `move` gave."""
        x = self.third(warp(moved.volume, moved.back, align_corners=False).flatten(1, 2))
        return self.decoder(self.fourth(x) * moved.shown)
