"""EquiAV's training, the talking-face variant: one stage, the published schedule (systems.md, 4.4 and 4.6)."""

import math
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.equiav.config import WINDOW_FRAMES, EquiAVConfig
from models.equiav.losses import inter_modal, total
from models.equiav.network import EquiAV, View
from models.training.clips import ClipSet
from models.training.equiav_batches import clean_inputs, views
from models.training.equiav_windows import MouthSet
from models.training.stages import Adam, Judges, Losses, Stage, Turn, at_any_step

CLIP_FRAMES: Final = 2 * WINDOW_FRAMES
_PEAK_RATE: Final = 1e-3
_RISE: Final = 0.1  # of the training; 2 of 20 epochs as published, so are the rates at both ends
_FIRST_RATE, _LAST_RATE = 1 / 500, 1 / 100  # of the peak


def rate(progress: float) -> float:
    """Factor on the peak rate, given how much of the training is done: a linear rise, then a cosine fall."""
    if progress < _RISE:
        return _FIRST_RATE + (1 - _FIRST_RATE) * progress / _RISE
    fall = (progress - _RISE) / (1 - _RISE)
    return _LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * fall))


class EquiavRecipe:
    """How EquiAV is trained."""

    system = "equiav"
    shown = "pretraining"

    def __init__(self, clips: ClipSet, config: EquiAVConfig, judges: Judges) -> None:
        self.config, self.networks = config, EquiAV(config)
        self.trained: nn.Module = self.networks
        self._mouths = MouthSet(clips)
        adam = Adam(_PEAK_RATE, (0.9, 0.95), weight_decay=1e-5)
        turn = Turn("both", (self.networks,), self._losses(self.networks), adam, rate)
        self.stages = (Stage("pretraining", 1.0, (turn,)),)

    def batch(self, stage: str, count: int, random: torch.Generator) -> Any:
        """See `Recipe.batch`: four windows of each clip, sound and mouths."""
        return views(*self._mouths.draw(count, random), random)

    def sheet(self, networks: nn.Module, batch: Any) -> Tensor:
        """How alike each window's sound and mouth are, black to white: the diagonal should be bright."""
        assert isinstance(networks, EquiAV)
        sound, mouths = (F.normalize(embedded) for embedded in self._embed(networks, batch))
        alike = F.interpolate((sound @ mouths.t())[None, None], scale_factor=8.0)
        return alike.expand(1, 3, -1, -1)[:, None]

    def _losses(self, net: EquiAV) -> Losses:
        def losses(batch: tuple[View, View]) -> dict[str, Tensor]:
            told = total(*net(*batch))
            return {name: value / 3 for name, value in told.items() if name != "loss"}

        return at_any_step(losses)

    def _embed(self, net: EquiAV, batch: Any) -> tuple[Tensor, Tensor]:
        audio, video = batch
        return net.audio.embed(audio.clean, audio.averaged), net.video.embed(video.clean, video.averaged)


class PlainRecipe(EquiavRecipe):
    """The same encoders by a contrastive loss between the modalities alone, to compare with."""

    system = "equiav-plain"

    def __init__(self, clips: ClipSet, config: EquiAVConfig, judges: Judges) -> None:
        super().__init__(clips, config, judges)
        for branch in (self.networks.audio, self.networks.video):
            for part in (branch.aug_encoder, branch.cross_attn, branch.pred_intra, branch.norm_aug):
                part.requires_grad_(False)

    def batch(self, stage: str, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """See `Recipe.batch`: four windows of each clip, as they are."""
        return clean_inputs(*self._mouths.draw(count, random))

    def _losses(self, net: EquiAV) -> Losses:
        return at_any_step(lambda batch: {"inter": inter_modal(*self._embed(net, batch))})

    def _embed(self, net: EquiAV, batch: Any) -> tuple[Tensor, Tensor]:
        sound, mouths = batch
        return net.audio.embed_plain(sound), net.video.embed_plain(mouths)
