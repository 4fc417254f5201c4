"""The losses of EquiAV (specification 4.4). Under several processes each row competes with the rows of all of them."""

from typing import Any, Final, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from models.equiav.network import Embeddings

TEMPERATURE: Final = 0.07


def inter_modal(audio: Tensor, video: Tensor) -> Tensor:
    """Symmetric NT-Xent between paired rows of two modalities, a scalar.

    Rows of other processes are negatives that get no gradient; with several processes this process's own keys get
    none either, as published.

    Args:
        audio: [B, embedding], any length.
        video: The same shape; row i belongs to row i.
    """
    audio, video = F.normalize(audio, dim=1), F.normalize(video, dim=1)
    return (_cross_entropy(audio @ _gather(video).T) + _cross_entropy(video @ _gather(audio).T)) / 2


def equivariant(predicted: Tensor, augmented: Tensor) -> Tensor:
    """SimCLR's NT-Xent between foretold and actual embeddings, negatives of both sides, a scalar.

    Args:
        predicted: z_equi, [B, embedding], any length.
        augmented: z_aug, the same shape; row i belongs to row i.

    Source:
        Chen et al., arXiv:2002.05709, equation 1.
    """
    predicted, augmented = F.normalize(predicted, dim=1), F.normalize(augmented, dim=1)
    predictions, actual = (cast(Tensor, _GatherWithGradient.apply(rows)) for rows in (predicted, augmented))
    forth = torch.cat([predicted @ actual.T, _without_self(predicted @ predictions.T)], 1)
    back = torch.cat([augmented @ predictions.T, _without_self(augmented @ actual.T)], 1)
    return (_cross_entropy(forth) + _cross_entropy(back)) / 2


def total(audio: Embeddings, video: Embeddings) -> dict[str, Tensor]:
    """The training loss, "loss", a third of each of its parts, "inter", "audio" and "video"."""
    parts = {
        "inter": inter_modal(audio.inter, video.inter),
        "audio": equivariant(audio.predicted, audio.augmented),
        "video": equivariant(video.predicted, video.augmented),
    }
    return {"loss": torch.stack(list(parts.values())).mean(), **parts}


def _processes() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def _own_columns(rows: Tensor) -> Tensor:
    """Which of the gathered rows each row of this process is, [B]."""
    first = dist.get_rank() * len(rows) if dist.is_initialized() else 0
    return torch.arange(first, first + len(rows), device=rows.device)


def _cross_entropy(similarity: Tensor) -> Tensor:
    return F.cross_entropy(similarity / TEMPERATURE, _own_columns(similarity))


def _without_self(similarity: Tensor) -> Tensor:
    return similarity.scatter(1, _own_columns(similarity)[:, None], -torch.inf)


def _gather(rows: Tensor) -> Tensor:
    """The rows of all processes, [processes * B, ...], without gradient if there are several."""
    if _processes() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(_processes())]
    dist.all_gather(parts, rows.detach().contiguous())
    return torch.cat(parts)


class _GatherWithGradient(torch.autograd.Function):
    """`_gather` whose gradient returns to the process that made the row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _gather(rows).clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        if _processes() == 1:
            return gradient
        summed = gradient.clone()
        dist.all_reduce(summed)
        return summed.chunk(_processes())[dist.get_rank()]
