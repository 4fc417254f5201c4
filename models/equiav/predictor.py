"""From the tokens of a clean input and a description of an augmentation to the embedding of the augmented input."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.equiav.config import EquiAVConfig
from models.equiav.encoder import Mlp


class QuickGelu(nn.Module):
    """x sigmoid(1.702 x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x * torch.sigmoid(1.702 * x)


def transform_encoder(transform_size: int, width: int) -> nn.Sequential:
    """Augmentation vectors [..., transform_size] to [..., width]."""
    return nn.Sequential(
        nn.Linear(transform_size, width), QuickGelu(), nn.Linear(width, width), QuickGelu(), nn.Linear(width, width)
    )


class CrossAttention(nn.Module):
    """Augmentations ask, tokens answer."""

    def __init__(self, config: EquiAVConfig) -> None:
        super().__init__()
        inner = config.predictor_heads * config.predictor_head_width
        self.heads = config.predictor_heads
        self.to_q = nn.Linear(config.transform_width, inner)
        self.to_k = nn.Linear(config.width, inner)
        self.to_v = nn.Linear(config.width, inner)
        self.to_out = nn.Linear(inner, config.width, bias=False)

    def forward(self, transforms: Tensor, tokens: Tensor) -> Tensor:
        """[B, M, transform_width] (or [1, ...], the same for all) and [B, N, width] to [B, M, width]."""
        q, k, v = (
            x.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for x in (self.to_q(transforms), self.to_k(tokens), self.to_v(tokens))
        )
        answers = F.scaled_dot_product_attention(q.expand(len(tokens), -1, -1, -1), k, v)
        return self.to_out(answers.transpose(1, 2).flatten(2))


class TransformationPredictor(nn.Module):
    """The attention-based transformation predictor (specification 4.3)."""

    def __init__(self, config: EquiAVConfig) -> None:
        super().__init__()
        self.norm_aug = nn.LayerNorm(config.transform_width)
        self.attn = CrossAttention(config)
        self.norm = nn.LayerNorm(config.width)
        self.mlp = Mlp(config.width)

    def forward(self, tokens: Tensor, transforms: Tensor) -> Tensor:
        """Predict the mean token of an augmented input, averaged over several augmentations.

        Args:
            tokens: Of the clean input, [B, N, width].
            transforms: Encoded augmentations, [B, M, transform_width], or [1, M, transform_width]: the same for all.

        Returns:
            [B, width].
        """
        predicted = tokens.mean(1, keepdim=True) + self.attn(self.norm_aug(transforms), tokens)
        return (predicted + self.mlp(self.norm(predicted))).mean(1)


class ProjectionHead(nn.Module):
    """Three layers, LayerNorm after each, ReLU between them."""

    def __init__(self, config: EquiAVConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.projection_width)
        self.norm1 = nn.LayerNorm(config.projection_width)
        self.fc2 = nn.Linear(config.projection_width, config.projection_width)
        self.norm2 = nn.LayerNorm(config.projection_width)
        self.fc3 = nn.Linear(config.projection_width, config.embedding)
        self.norm3 = nn.LayerNorm(config.embedding)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width] to [B, embedding]."""
        x = F.relu(self.norm1(self.fc1(x)))
        x = F.relu(self.norm2(self.fc2(x)))
        return self.norm3(self.fc3(x))
