"""What a generator carries over from a source picture, by LIA's flow.

Source: Wang et al., "Latent Image Animator", ICLR 2022, section 3.1.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from models.blocks.modulated import ModulatedConv2d, Upsample
from models.blocks.warp import identity_grid, warp

_REACH: Final = 0.25
"""How far a flow can point, as a share of half the picture. LIA's reaches all of it."""


class ToFlow(nn.Module):
    """Modulated 1 x 1 convolution to a flow and a mask, on top of the coarser ones: what is carried from a source.

    LIA's, but that the flow begins as the identity, has a shorter reach and stays within the picture, and that pictures
    are drawn from what `forward` returns, not from the carried features alone: no source shows what a shut mouth hides.
    """

    def __init__(self, inputs: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, 3, 1, style_dim, demodulate=False)
        nn.init.zeros_(self.conv.weight)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = Upsample()

    def forward(self, x: Tensor, scales: Tensor, carried: Tensor, coarser: Tensor | None) -> tuple[Tensor, Tensor]:
        """Replace a share of the generator's features by the source's, from where the flow points.

        Args:
            x: [B, inputs, H, W].
            scales: Of the inputs, [B, inputs].
            carried: The source's features, shape of `x`.
            coarser: Second answer of half the size; None at first.

        Returns:
            The features to go on with, and flow and mask before they are squashed, [B, 3, H, W].
        """
        out = self.conv(x, scales) + self.bias
        if coarser is not None:
            out = out + self.upsample(coarser)
        flow, shown = out.float().split((2, 1), 1)
        grid = identity_grid(tuple(x.shape[2:]), flow) + _REACH * flow.tanh().permute(0, 2, 3, 1)
        moved = warp(carried.float(), grid.clamp(-1.0, 1.0), align_corners=True)
        return torch.lerp(x, moved.to(x.dtype), shown.sigmoid().to(x.dtype)), out


class Carrier(nn.Module):
    """What a generator may carry over from a source, as wide as its layers.

    Args:
        channels: Of the source itself and of an encoder's maps of it, each half the size of the one before.
        widths: Of the generator, see `GeneratorConfig.carried`.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        if len(widths) > len(channels):
            raise ValueError(f"got {len(widths)} doublings to carry features to, want at most {len(channels)}")
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(channels, widths, strict=False))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Pictures [B, channels[0], S, S] and the maps of them to what `synthesize` carries, coarse to fine."""
        return [conv(x) for conv, x in zip(self.convs, maps, strict=False)][::-1]
