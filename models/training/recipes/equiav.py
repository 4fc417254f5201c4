"""EquiAV's training, the talking-face variant: one stage, the published schedule (systems.md, 4.4 and 4.6)."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.audio.kaldi_fbank import KaldiFbank128
from models.equiav.config import WINDOW_FRAMES, WINDOW_HOPS, EquiAVConfig
from models.equiav.inputs import LOG_ENERGIES, standard_sound
from models.equiav.network import EquiAV, View
from models.training.clips import Clip, ClipSet, draw_rows
from models.training.equiav_batches import WINDOWS_PER_CLIP, views
from models.training.equiav_windows import cut, mouth_boxes
from models.training.grid import smooth
from models.training.stages import Adam, Judges, Stage, Turn
from models.training.train_equiav import Equivariant, rate
from models.training.watched import whole
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES

CLIP_FRAMES: Final = 2 * WINDOW_FRAMES
_STEPS: Final = 10_000  # of a schedule that knows only shares


class EquiavRecipe:
    """How EquiAV is trained."""

    system = "equiav"
    shown = "pretraining"

    def __init__(self, clips: ClipSet, config: EquiAVConfig, judges: Judges) -> None:
        self.config, self.networks = config, EquiAV(config)
        self.trained: nn.Module = Equivariant(self.networks)
        self._clips = clips
        self._known = dict[int, tuple[Tensor, Tensor]]()
        adam = Adam(1e-3, (0.9, 0.95), weight_decay=1e-5)
        turn = Turn("both", (self.networks,), self._losses, adam, lambda done: rate(round(done * _STEPS), _STEPS, 1.0))
        self.stages = (Stage("pretraining", 1.0, (turn,)),)

    def batch(self, stage: str, count: int, random: torch.Generator) -> tuple[View, View]:
        """See `Recipe.batch`: four windows of each clip."""
        return views(*self._windows(count, random), random)

    def sheet(self, networks: nn.Module, batch: tuple[View, View]) -> Tensor:
        """How alike each window's sound and mouth are, black to white: the diagonal should be bright."""
        assert isinstance(networks, EquiAV)
        pairs = zip((networks.audio, networks.video), batch, strict=True)
        sound, mouths = (F.normalize(branch.embed(view.clean, view.averaged)) for branch, view in pairs)
        alike = F.interpolate((sound @ mouths.t())[None, None], scale_factor=8.0)
        return alike.expand(1, 3, -1, -1)[:, None]

    def _losses(self, batch: tuple[View, View], step: int) -> dict[str, Tensor]:
        told: dict[str, Tensor] = self.trained(*batch)
        return {name: value / 3 for name, value in told.items() if name != "loss"}

    def _windows(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Sound [4 count, 1, 64, 128], standardised, and mouths [4 count, 16, 3, H, W], 0 to 1."""
        sounds, seen = list[Tensor](), list[Tensor]()
        for row in draw_rows(len(self._clips), count, random):
            mouths, sound = self._clip(row)
            stride = (len(mouths) - WINDOW_FRAMES) // WINDOWS_PER_CLIP
            for number in range(WINDOWS_PER_CLIP):
                start = stride * number + whole(0, max(1, stride - 3), random)
                sounds.append(standard_sound(sound[4 * start : 4 * start + WINDOW_HOPS])[None])
                seen.append(mouths[start : start + WINDOW_FRAMES].float() / 255)
        return torch.stack(sounds), torch.stack(seen)

    def _clip(self, row: int) -> tuple[Tensor, Tensor]:
        if row not in self._known:
            self._known[row] = mouths_and_sound(self._clips[row], self.config.video.patch)
        return self._known[row]


def mouths_and_sound(clip: Clip, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Mouths of a clip, [T, 3, *size], uint8, cut from a box that follows the eyes, and log energies, [4 T, 128]."""
    points = torch.from_numpy(clip.points_px)
    marks, irises = smooth(points[:, list(MEDIAPIPE_68)]), smooth(points[:, list(MEDIAPIPE_IRISES)])
    pictures = torch.stack([torch.from_numpy(clip.picture(f).copy()) for f in range(len(clip))]).permute(0, 3, 1, 2)
    mouths = cut(pictures.float(), mouth_boxes(marks, irises, size[0] / size[1]), size)
    # row k is then centred on 10 k + 5 ms, and four rows on the middle of their frame
    padded = F.pad(torch.from_numpy(clip.sound), (120, 280))
    rows = KaldiFbank128(LOG_ENERGIES)(padded[None])[0, : 4 * len(clip)]
    return mouths.round().clamp(0, 255).byte(), rows
