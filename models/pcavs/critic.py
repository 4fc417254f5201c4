"""PC-AVS's discriminator: two PatchGANs, the second on half the resolution.

Source: systems.md, 2.3; Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation with Conditional
GANs", CVPR 2018, section 3.2.
"""

from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SCALES: Final = 2


class PatchCritic(nn.Module):
    """Five 4 x 4 convolutions; the three in the middle are spectrally normalised and have instance norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, width, 4, 2, 2), nn.LeakyReLU(0.2))]
        for i, stride in enumerate((2, 2, 1)):
            conv = nn.Conv2d(width * 2**i, width * 2 ** (i + 1), 4, stride, 2, bias=False)
            layers.append(nn.Sequential(spectral_norm(conv), nn.InstanceNorm2d(conv.out_channels), nn.LeakyReLU(0.2)))
        self.layers = nn.ModuleList([*layers, nn.Conv2d(8 * width, 1, 4, 1, 2)])

    def forward(self, picture: Tensor) -> list[Tensor]:
        """[B, 3, H, W] to the picture itself, the map of each layer, and last the scores [B, 1, h, w]."""
        maps = [picture]
        for layer in self.layers:
            maps.append(layer(maps[-1]))
        return maps


class MultiScaleCritic(nn.Module):
    """One `PatchCritic` for the picture and one for the picture of half the size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchCritic(width) for _ in range(SCALES))

    def forward(self, picture: Tensor) -> list[list[Tensor]]:
        """[B, 3, H, W], -1 to 1, to `PatchCritic.forward`'s answer for each scale, the finest first."""
        out = list[list[Tensor]]()
        for critic in self.scales:
            out.append(critic(picture))
            picture = F.avg_pool2d(picture, 3, 2, 1, count_include_pad=False)
        return out
