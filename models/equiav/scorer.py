"""How well mouths belong to a voice: the talking-face EquiAV as a monitor of synchrony."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from models.audio.kaldi_fbank import BANDS
from models.equiav.augment import TALKING_MOUTH, TALKING_SOUND, draw
from models.equiav.config import AVERAGED_TRANSFORMS, SMALL, WINDOW_HOPS, EquiAVConfig
from models.equiav.inputs import sound_to_patches, standard_rgb, standard_sound, strip
from models.equiav.network import EquiAV
from models.weights import config_from, read_weights

_SEED: Final = 0


@dataclass(frozen=True)
class Scorer:
    """A trained network and the augmentations that its embeddings are averaged over, the same in every call.

    Attributes:
        transforms: Of sound [1, 16, 24] and mouths [1, 16, 18]; None for encoders trained without equivariance.
    """

    net: EquiAV
    transforms: tuple[Tensor, Tensor] | None

    @classmethod
    def load(cls, path: Path, *, plain: bool = False) -> "Scorer":
        """Read the weights that `visavis train --system equiav` wrote, or `equiav-plain`.

        Raises:
            FileNotFoundError, CheckpointError: See `models.weights.read_weights`.
        """
        weights = read_weights(path, "equiav-plain" if plain else "equiav")
        net = EquiAV(config_from(EquiAVConfig, weights.config))
        net.load_state_dict(weights.tensors)
        return cls(net.eval(), None if plain else fixed_transforms())

    @torch.no_grad()
    def embed_sound(self, rows: Tensor) -> Tensor:
        """Log energies of `KaldiFbank128`, [B, 64, 128], to embeddings of length 1, [B, 128]."""
        picture = sound_to_patches(standard_sound(rows)[:, None])
        branch = self.net.audio
        raw = branch.embed(picture, self.transforms[0]) if self.transforms else branch.embed_plain(picture)
        return F.normalize(raw, dim=1)

    @torch.no_grad()
    def embed_mouths(self, mouths: Tensor) -> Tensor:
        """Mouths of 16 frames, [B, 16, 3, 24, 40], RGB, 0 to 1, to embeddings of length 1, [B, 128]."""
        picture = strip(standard_rgb(mouths))
        branch = self.net.video
        raw = branch.embed(picture, self.transforms[1]) if self.transforms else branch.embed_plain(picture)
        return F.normalize(raw, dim=1)


def fixed_transforms() -> tuple[Tensor, Tensor]:
    """The 16 augmentations of sound and of mouths that `Scorer` averages over: drawn once, from a fixed seed."""
    rng = torch.Generator().manual_seed(_SEED)
    sound = draw(AVERAGED_TRANSFORMS, (WINDOW_HOPS, BANDS), TALKING_SOUND, rng)
    return sound[None], draw(AVERAGED_TRANSFORMS, SMALL.video.patch, TALKING_MOUTH, rng)[None]
