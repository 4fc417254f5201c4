"""What FC-TFG does to latents: the canonical and the motion mapping, their sum, and its smoothing over time.

Source: systems.md, 3.2. z_{s->d} = z_{s->c} + z_{c->d}: the source without its motion, plus the motion wanted.
"""

import math
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.modulated import SLOPE
from models.fctfg.config import FctfgConfig

FUSED_FRAMES: Final = 3
"""Kernel of the temporal fusion, causal: it looks at no later frame."""


class CanonicalEncoder(nn.Module):
    """Latents of a face to those of the same face without motion: two layers."""

    def __init__(self, config: FctfgConfig) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(config.mixed, config.mixed), nn.Linear(config.mixed, config.mixed)

    def forward(self, latents: Tensor) -> Tensor:
        """[B, latents, code] to the same shape, z_{s->c}."""
        return _mix(self.last, _mix(self.first, latents).relu())


class MotionEncoder(nn.Module):
    """Latents of a driver and the voice to the motion from the canonical face: three layers, leaky in between.

    Behind plain ReLUs, 114 of 128 units of the second layer had died after 12,500 steps of training.

    The first layer reads both side by side. It is kept as its two halves, since a recorded driver's half need be
    computed once only: `listen(voice) + watch(driver)` is that layer.
    """

    def __init__(self, config: FctfgConfig) -> None:
        super().__init__()
        wide, voice = config.mixed, config.audio_widths[4]
        self.driver, self.voice = nn.Linear(wide, wide, bias=False), nn.Linear(voice, wide)
        for half in (self.driver, self.voice):
            nn.init.uniform_(half.weight, -1 / math.sqrt(wide + voice), 1 / math.sqrt(wide + voice))
        self.second, self.last = nn.Linear(wide, wide), nn.Linear(wide, wide)
        self._shape = (config.latents, config.code) if config.mixing == "flattened" else (1, config.code)

    def watch(self, driver: Tensor) -> Tensor:
        """The driver's half of the first layer: [B, latents, code] to the same shape."""
        return _mix(self.driver, driver)

    def listen(self, voice: Tensor) -> Tensor:
        """The voice's half, with the bias: [B, voice] to [B, latents or 1, code]."""
        return self.voice(voice).unflatten(1, self._shape)

    def move(self, first: Tensor) -> Tensor:
        """The sum of both halves to the motion z_{c->d}, [B, latents, code]."""
        second = _mix(self.second, F.leaky_relu(first, SLOPE))
        return _mix(self.last, F.leaky_relu(second, SLOPE))

    def forward(self, driver: Tensor, voice: Tensor) -> Tensor:
        """Driver's latents [B, latents, code] and voice [B, voice] to the motion z_{c->d}, [B, latents, code]."""
        return self.move(self.watch(driver) + self.listen(voice))


@dataclass(slots=True)
class FusionState:
    """What the fusion remembers of each stream.

    Attributes:
        tail: The last two sums, oldest first, [B, 2, latents, code].
        fresh: Whether nothing has come yet, [B], bool.
    """

    tail: Tensor
    fresh: Tensor

    def reset(self, rows: Tensor) -> None:
        """Forget the streams where `rows` [B] (bool) is true, in place."""
        self.fresh.masked_fill_(rows, True)


class TemporalFusion(nn.Module):
    """A weighted sum of the last three frames' latents, number by number. At first only the newest counts.

    What lies before the first frame counts as equal to it.
    """

    def __init__(self, config: FctfgConfig) -> None:
        super().__init__()
        weight = torch.zeros(FUSED_FRAMES, config.latents, config.code)
        weight[-1] = 1.0
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(torch.zeros(config.latents, config.code))

    def init_state(self, batch: int) -> FusionState:
        """A fresh memory for `batch` streams."""
        tail = self.weight.new_zeros(batch, FUSED_FRAMES - 1, *self.bias.shape)
        return FusionState(tail, torch.ones(batch, dtype=torch.bool, device=tail.device))

    def forward(self, latents: Tensor) -> Tensor:
        """Fuse whole clips: [B, T, latents, code] to the same shape."""
        frames = latents.shape[1]
        padded = torch.cat([latents[:, :1].expand(-1, FUSED_FRAMES - 1, -1, -1), latents], 1)
        return self._sum([padded[:, k : k + frames] for k in range(FUSED_FRAMES)])

    def step(self, latents: Tensor, state: FusionState) -> Tensor:
        """Fuse the next frame [B, latents, code]; `state` moves on in place."""
        tail = torch.where(state.fresh[:, None, None, None], latents[:, None], state.tail)
        window = torch.cat([tail, latents[:, None]], 1)
        state.tail.copy_(window[:, 1:])
        state.fresh.fill_(False)
        return self._sum(list(window.unbind(1)))

    def _sum(self, frames: list[Tensor]) -> Tensor:
        weighted = [w * frame for w, frame in zip(self.weight, frames, strict=True)]
        return torch.stack(weighted).sum(0) + self.bias


def _mix(layer: nn.Linear, latents: Tensor) -> Tensor:
    """A layer over all latents at once, or over each, as its size says."""
    if layer.in_features == latents.shape[-1]:
        return layer(latents)
    return layer(latents.flatten(1)).view_as(latents)
