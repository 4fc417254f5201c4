"""What a discriminator with the hinge loss and its generator minimise, at one size of the picture.

Source: Lim and Ye, "Geometric GAN", arXiv:1705.02894, equations 14 and 15; feature matching: Wang et al.,
"High-Resolution Image Synthesis and Semantic Manipulation with Conditional GANs", CVPR 2018, equation 4.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    """What a critic minimises over its scores, any shape: mean max(0, 1 - real) + mean max(0, 1 + fake)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """What the generator minimises over the critic's scores: - mean fake."""
    return -fake.mean()


def feature_matching(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Sum over the critic's layers of the mean L1 between maps of real and drawn; no gradient reaches `real`."""
    return torch.stack([F.l1_loss(f, r.detach()) for r, f in zip(real, fake, strict=True)]).sum()
