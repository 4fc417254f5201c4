"""EquiAV: two encoders whose embeddings agree between sound and picture and move predictably under augmentation.

Kim et al., "EquiAV: Leveraging Equivariance for Audio-Visual Contrastive Learning", ICML 2024.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.equiav.config import BranchConfig, EquiAVConfig
from models.equiav.encoder import Block, PatchEmbed, sin_cos_positions
from models.equiav.predictor import ProjectionHead, TransformationPredictor, transform_encoder


@dataclass(frozen=True)
class View:
    """One modality of a batch.

    Attributes:
        clean: [B, channels, rows, columns].
        augmented: The same inputs after `transform`, the same shape.
        transform: What was done to each, [B, transform_size].
        averaged: Random augmentations over which the inter-modal embedding is averaged, [B, M, transform_size].
    """

    clean: Tensor
    augmented: Tensor
    transform: Tensor
    averaged: Tensor


@dataclass(frozen=True)
class Embeddings:
    """One modality's three embeddings, each [B, embedding], not normalised (specification 4.3).

    Attributes:
        inter: z_inter, compared with the other modality.
        predicted: z_equi, what the augmented input should become, foretold from the clean one.
        augmented: z_aug, what it became.
    """

    inter: Tensor
    predicted: Tensor
    augmented: Tensor


class Branch(nn.Module):
    """All of one modality: encoder, transformation predictor, heads."""

    pos_embed: Tensor

    def __init__(self, config: EquiAVConfig, inputs: BranchConfig) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(inputs, config.width)
        self.register_buffer("pos_embed", sin_cos_positions(config.width, *inputs.grid))
        self.modality = nn.Parameter(torch.zeros(1, 1, config.width))
        self.blocks = nn.ModuleList([Block(config.width, config.heads) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(config.width)
        self.norm_aug = nn.LayerNorm(config.width)
        self.aug_encoder = transform_encoder(inputs.transform_size, config.transform_width)
        self.cross_attn = TransformationPredictor(config)
        self.pred_inter = ProjectionHead(config)
        self.pred_intra = ProjectionHead(config)

    def encode(self, picture: Tensor) -> Tensor:
        """[B, channels, rows, columns] to tokens before the last norm, [B, N, width]."""
        tokens = self.patch_embed(picture) + self.pos_embed + self.modality
        for block in self.blocks:
            tokens = block(tokens)
        return tokens

    def predict(self, tokens: Tensor, transforms: Tensor) -> Tensor:
        """Tokens [B, N, width] after `norm` under augmentations [B or 1, M, transform_size], their mean, [B, width]."""
        return self.cross_attn(tokens, self.aug_encoder(transforms))

    def embed(self, picture: Tensor, transforms: Tensor) -> Tensor:
        """z_inter: the clean input's embedding averaged over augmentations [B or 1, M, transform_size]."""
        return self.pred_inter(self.predict(self.norm(self.encode(picture)), transforms))

    def embed_plain(self, picture: Tensor) -> Tensor:
        """The embedding of a contrastive pair of encoders without equivariance: from the mean token."""
        return self.pred_inter(self.norm(self.encode(picture)).mean(1))

    def forward(self, view: View) -> Embeddings:
        """The three embeddings that the losses compare."""
        tokens = self.norm(self.encode(view.clean))
        return Embeddings(
            inter=self.pred_inter(self.predict(tokens, view.averaged)),
            predicted=self.pred_intra(self.predict(tokens, view.transform[:, None])),
            augmented=self.pred_intra(self.norm_aug(self.encode(view.augmented)).mean(1)),
        )


class EquiAV(nn.Module):
    """The network, with random weights: as MAE and EquiAV start them, Xavier for linear layers and patches."""

    def __init__(self, config: EquiAVConfig) -> None:
        super().__init__()
        self.config = config
        self.audio = Branch(config, config.audio)
        self.video = Branch(config, config.video)
        self.apply(_start)
        for branch in (self.audio, self.video):
            nn.init.xavier_uniform_(branch.patch_embed.proj.weight.flatten(1))
            nn.init.normal_(branch.modality, std=0.02)

    def forward(self, audio: View, video: View) -> tuple[Embeddings, Embeddings]:
        """Embeddings of both modalities."""
        return self.audio(audio), self.video(video)


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        for name, parameter in module.named_parameters():
            (nn.init.zeros_ if name == "bias" else nn.init.xavier_uniform_)(parameter)
