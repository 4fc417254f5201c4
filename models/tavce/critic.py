"""The renderer's discriminator: one scale, spectral norm, every layer's features for matching.

Source: face-vid2vid's public training code, with the sizes of TAVCE's `facerender.yaml`.
"""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class FrameCritic(nn.Module):
    """Scores patches of a frame."""

    def __init__(self, width: int = 64, most: int = 512, layers: int = 4) -> None:
        super().__init__()
        sizes = [3, *(min(most, width << layer) for layer in range(layers))]
        pairs = list(pairwise(sizes))
        self.convs = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4)) for a, b in pairs)
        self.norms = nn.ModuleList(nn.InstanceNorm2d(b, affine=True) if a > 3 else nn.Identity() for a, b in pairs)
        self.last = spectral_norm(nn.Conv2d(sizes[-1], 1, 1))

    def forward(self, frames: Tensor) -> tuple[list[Tensor], Tensor]:
        """Frames [B, 3, S, S], 0 to 1, to each layer's features and the patches' scores [B, 1, h, w]."""
        features, x = list[Tensor](), frames
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = F.leaky_relu(norm(conv(x)), 0.2)
            if number < len(self.convs) - 1:
                x = F.avg_pool2d(x, 2)
            features.append(x)
        return features, self.last(x)
