"""Mouths and sound of clips, from which the talking-face EquiAV takes its windows.

The mouth is cut from a box that follows the eyes, so that the head stands still in it and the lips do not.
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from models.audio.kaldi_fbank import KaldiFbank128
from models.equiav.config import SMALL, WINDOW_FRAMES, WINDOW_HOPS
from models.equiav.inputs import LOG_ENERGIES, standard_sound
from models.training.clips import Clip, ClipSet, draw_rows
from models.training.grid import smooth
from models.training.watched import whole
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES

MOUTH_IN_EYES: Final = 1.25
"""Width of the box in distances of the irises."""
WINDOWS_PER_CLIP: Final = 4
"""Windows of one clip in a batch: each other's hardest negatives, and the ones that teach synchrony."""
_LEAST_GAP_FRAMES: Final = 4


class MouthSet:
    """Mouths and sound of a set's clips; those seen once stay in memory, 0.25 MB for 100 frames."""

    def __init__(self, clips: ClipSet) -> None:
        self.clips = clips
        self._known = dict[int, tuple[Tensor, Tensor]]()

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        """As `mouths_and_sound`."""
        if row not in self._known:
            self._known[row] = mouths_and_sound(self.clips[row])
        return self._known[row]

    def draw(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Four `windows` of each of `count` clips, at least 160 ms apart where the clip is long enough."""
        parts: list[tuple[Tensor, Tensor]] = []
        for row in draw_rows(len(self), count, random):
            stride = (len(self[row][0]) - WINDOW_FRAMES) // WINDOWS_PER_CLIP
            room = max(1, stride - _LEAST_GAP_FRAMES + 1)
            starts = [stride * number + whole(0, room, random) for number in range(WINDOWS_PER_CLIP)]
            parts.append(windows(*self[row], torch.tensor(starts)))
        sounds, mouths = zip(*parts, strict=True)
        return torch.cat(sounds), torch.cat(mouths)


def windows(mouths: Tensor, sound: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """Windows of a clip, as `mouths_and_sound` has it, from frames `starts` [B] on.

    Returns:
        Sound [B, 1, 64, 128], standardised, and mouths [B, 16, 3, H, W], 0 to 1.
    """
    hops = 4 * starts[:, None] + torch.arange(WINDOW_HOPS)
    frames = starts[:, None] + torch.arange(WINDOW_FRAMES)
    return standard_sound(sound[hops])[:, None], mouths[frames].float() / 255


def mouths_and_sound(clip: Clip) -> tuple[Tensor, Tensor]:
    """Mouths of a clip, [T, 3, 24, 40], uint8, and log energies, four to a frame, [4 T, 128]."""
    height, width = SMALL.video.patch
    points = torch.from_numpy(clip.points_px)
    marks, irises = smooth(points[:, list(MEDIAPIPE_68)]), smooth(points[:, list(MEDIAPIPE_IRISES)])
    pictures = torch.stack([torch.from_numpy(clip.picture(f).copy()) for f in range(len(clip))]).permute(0, 3, 1, 2)
    mouths = cut(pictures.float(), mouth_boxes(marks, irises, height / width), (height, width))
    # row k is then centred on 10 k + 5 ms, and four rows on the middle of their frame
    padded = F.pad(torch.from_numpy(clip.sound), (120, 280))
    rows = KaldiFbank128(LOG_ENERGIES)(padded[None])[0, : 4 * len(clip)]
    return mouths.round().clamp(0, 255).byte(), rows


def mouth_boxes(marks: Tensor, irises: Tensor, height_to_width: float) -> Tensor:
    """Where to cut each frame: left, top, width, height in px, [F, 4].

    Args:
        marks: 68 points of every frame, [F, 68, 2], px.
        irises: [F, 2, 2], px.
        height_to_width: Of the box.
    """
    eyes = irises.mean(1)
    offset = (marks[:, 48:68].mean(1) - eyes).median(0).values
    width = MOUTH_IN_EYES * (irises[:, 0] - irises[:, 1]).norm(dim=1).median()
    size = torch.stack([width, width * height_to_width])
    return torch.cat([eyes + offset - size / 2, size.expand(len(eyes), 2)], 1)


def cut(frames: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes [F, 4] of square frames [F, 3, S, S], float, at another size, [F, 3, H, W]; beyond the edge it repeats."""
    middle = (boxes[:, :2] + boxes[:, 2:] / 2) / frames.shape[-1] * 2 - 1
    half = boxes[:, 2:] / frames.shape[-1]
    theta = torch.cat([torch.diag_embed(half), middle[:, :, None]], 2)
    grid = F.affine_grid(theta, [len(frames), 3, *size], align_corners=False)
    return F.grid_sample(frames, grid, padding_mode="border", align_corners=False)
