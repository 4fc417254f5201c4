"""A critic of painted patches: tells truth from painting, and so teaches the painter the texture that L1 averages away.

Hinge losses with spectral normalisation (Miyato et al., ICLR 2018).
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from models.blocks.hinge import hinge_critic, hinge_generator
from models.training.processes import share_gradients
from models.visavis.geometry import PATCH_PX, Region

if TYPE_CHECKING:
    from models.training.train_renderer import Example

_WIDTHS = (32, 64, 96)


def _judge() -> nn.Sequential:
    layers: list[nn.Module] = []
    width = 5
    for wider in _WIDTHS:
        layers += [spectral_norm(nn.Conv2d(width, wider, 4, 2, 1)), nn.LeakyReLU(0.2)]
        width = wider
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(width, 1, 3, 1, 1)))


class Critic(nn.Module):
    """One judge for each region, and their optimiser, which starts anew when a run is taken up again.

    A judge sees a patch, [B, 3, H, W], with the openings of mouth and eyes, [B, 2, H, W], and answers a map of scores
    for overlapping pieces of it, [B, 1, H / 8, W / 8]: high for truth.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.judges = nn.ModuleDict({region: _judge() for region in PATCH_PX})
        self._optimiser = torch.optim.AdamW(self.parameters(), rate, betas=(0.0, 0.9))

    def _scores(self, region: Region, patch: Tensor, example: "Example") -> Tensor:
        return self.judges[region](torch.cat([patch, example.patches[region].fine[:, 6:8]], 1))

    def learn(self, painted: dict[Region, Tensor], example: "Example") -> None:
        """One step of the judges; `painted` gets no gradient."""
        self._optimiser.zero_grad(set_to_none=True)
        for region, patch in painted.items():
            real, fake = (self._scores(region, some, example) for some in (example.truth[region], patch.detach()))
            torch.autograd.backward(hinge_critic(real, fake))
        share_gradients(self.parameters())
        self._optimiser.step()

    def complaint(self, painted: dict[Region, Tensor], example: "Example") -> Tensor:
        """The painter's loss, a scalar: low where the judges take its patches for truth."""
        losses = [hinge_generator(self._scores(region, patch, example)) for region, patch in painted.items()]
        return torch.stack(losses).sum()
