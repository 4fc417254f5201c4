"""The ViT encoder of one modality. Names of layers follow the published checkpoint where they can."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.equiav.config import BranchConfig


def sin_cos_positions(width: int, rows: int, columns: int) -> Tensor:
    """Fixed 2-D positions, [1, rows * columns, width]: half of the width tells the column, half the row.

    Source:
        Vaswani et al., arXiv:1706.03762, section 3.5, once per axis; column first, as the published weights have it.
    """
    frequency = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width / 4))

    def axis(count: int) -> Tensor:
        angle = torch.arange(count, dtype=torch.float64)[:, None] * frequency
        return torch.cat([angle.sin(), angle.cos()], 1)

    across = axis(columns).expand(rows, columns, width // 2)
    down = axis(rows)[:, None].expand(rows, columns, width // 2)
    return torch.cat([across, down], 2).reshape(1, rows * columns, width).float()


class PatchEmbed(nn.Module):
    """A picture to tokens, one for each patch, row by row."""

    def __init__(self, config: BranchConfig, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(config.channels, width, config.patch, config.patch)

    def forward(self, picture: Tensor) -> Tensor:
        """[B, C, rows, columns] to [B, N, width]."""
        return self.proj(picture).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention with a bias on queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, width] to the same shape."""
        q, k, v = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two layers with GELU, four times as wide between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., width] to the same shape."""
        return self.fc2(F.gelu(self.fc1(tokens)))


class Block(nn.Module):
    """Pre-norm transformer block.

    Source:
        Dosovitskiy et al., arXiv:2010.11929, equations 2 and 3.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, width] to the same shape."""
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))
