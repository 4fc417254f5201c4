"""What a system supplies to be trained: networks, stages, batches. The loop is `models.training.train_system`."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from models.blocks.perceptual import Vgg19
from models.training.features import SqueezeFeatures, SqueezeJudge


@dataclass(frozen=True)
class Adam:
    """Settings of an optimiser; with weight decay it is AdamW."""

    rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    amsgrad: bool = False
    weight_decay: float = 0.0

    def make(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimiser of groups of parameters."""
        if self.weight_decay:
            return torch.optim.AdamW(
                groups, self.rate, self.betas, weight_decay=self.weight_decay, amsgrad=self.amsgrad
            )
        return torch.optim.Adam(groups, self.rate, self.betas, amsgrad=self.amsgrad)


def constant(progress: float) -> float:
    """A schedule that changes nothing."""
    return 1.0


def late_fall(progress: float) -> float:
    """A tenth of the rate in the last fifth of a stage, as TAVCE's published epochs have it."""
    return 1.0 if progress < 0.8 else 0.1


def falling(progress: float) -> float:
    """From the whole rate to nothing, along a cosine."""
    return 0.5 * (1 + math.cos(math.pi * progress))


UNIT_VARIANCE_GAIN: Final = 10.0
"""On the rate of generators whose weights are kept at unit variance, beside layers that keep theirs otherwise.

An optimiser's step moves such a weight a thirtieth as far, against its size, as one of a plain layer.
"""

Losses = Callable[[Any, int], dict[str, Tensor]]
"""A batch and the number of the step to weighted losses by name, whose sum is minimised."""


def at_any_step(losses: Callable[[Any], dict[str, Tensor]]) -> Losses:
    """Losses that do not ask for the number of the step."""

    def of(batch: Any, step: int) -> dict[str, Tensor]:
        return losses(batch)

    return of


@dataclass(frozen=True)
class Turn:
    """One optimiser's part of a step.

    Attributes:
        name: Of its curves.
        parts: Modules that learn in it; all others stand still.
        losses: What they minimise.
        adam: The optimiser.
        schedule: Factor on the rate, from how far the stage is, 0 to 1.
        gains: Factors on the rate of some of the parts.
    """

    name: str
    parts: tuple[nn.Module, ...]
    losses: Losses
    adam: Adam
    schedule: Callable[[float], float] = constant
    gains: tuple[tuple[nn.Module, float], ...] = ()

    def groups(self, learned: Collection[nn.Parameter]) -> list[dict[str, Any]]:
        """Its parameters among the learned ones as an optimiser takes them, each group with its "gain"."""
        moved = [p for part in self.parts for p in part.parameters() if p in learned]
        gains = {parameter: gain for part, gain in self.gains for parameter in part.parameters()}
        of = [gains.get(parameter, 1.0) for parameter in moved]
        return [
            {"params": [p for p, its in zip(moved, of, strict=True) if its == gain], "gain": gain}
            for gain in sorted({*of})
        ]


@dataclass(frozen=True)
class Stage:
    """One stage of a training: its turns are taken one after the other on each batch.

    Attributes:
        name: Of its curves, and what `Recipe.batch` is asked for.
        share: Of the whole training.
        turns: In order.
        holds_statistics: Whether the networks' batch norms keep what earlier stages found: four persons at a time, whom
            critics judge, are too few for statistics.
    """

    name: str
    share: float
    turns: tuple[Turn, ...]
    holds_statistics: bool = False


@dataclass(frozen=True)
class Judges:
    """Published networks that some losses take; a stand-in of ours judges where a path is None.

    Attributes:
        vgg: torchvision's `vgg19-*.pth`. Stand-in: `squeezenet`, or random convolutions, see `Vgg19.stand_in`.
        syncnet: Wav2Lip's `lipsync_expert.pth`. Stand-in: the same layers, narrow, trained on the clips first.
        arcface: `model_ir_se50.pth`. Stand-in: the same layers, narrow, trained on the clips' persons first.
        squeezenet: Keras' `squeezenet_v1.1_notop`, which takes VGG's place at a fiftieth of its work.
    """

    vgg: Path | None = None
    syncnet: Path | None = None
    arcface: Path | None = None
    squeezenet: Path | None = None

    def perceptual(self) -> nn.Module:
        """The network behind perceptual losses, pictures to five maps as `Vgg19.forward`."""
        if self.vgg is not None:
            return Vgg19.load(self.vgg)
        return Vgg19.stand_in() if self.squeezenet is None else SqueezeJudge(SqueezeFeatures.load(self.squeezenet))


class Recipe(Protocol):
    """How one system is trained."""

    @property
    def system(self) -> str:
        """Its name."""
        ...

    @property
    def networks(self) -> nn.Module:
        """What draws, or embeds: averaged, exported."""
        ...

    @property
    def config(self) -> Any:
        """Sizes of those networks, a dataclass."""
        ...

    @property
    def trained(self) -> nn.Module:
        """All that learns, `networks` included, and the judges."""
        ...

    @property
    def stages(self) -> tuple[Stage, ...]:
        """In order, as published."""
        ...

    @property
    def shown(self) -> str:
        """The stage whose batches sheets are drawn of."""
        ...

    def batch(self, stage: str, count: int, random: torch.Generator) -> Any:
        """A batch of `count` clips for a stage: tensors in dataclasses or tuples."""
        ...

    def sheet(self, networks: nn.Module, batch: Any) -> Tensor:
        """What networks draw of a batch of stage `shown` beside the truth, [rows, columns, 3, S, S], -1 to 1."""
        ...
