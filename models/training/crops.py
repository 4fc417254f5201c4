"""What each published system sees of a clip: its own crop of the pictures, its own front end's windows of the sound."""

from collections.abc import Sequence
from functools import cache
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.audio.front_end import FrontEnd
from models.audio.level import FixedGain, clip_gain
from models.audio.lws_mel import LwsMel80
from models.audio.mfcc import Mfcc12
from models.audio.wav2lip_mel import Wav2LipMel80
from models.blocks.vox_crop import template, three_points
from models.davs.system import crop_template, three_marks
from models.tavce.rig_reader import face_square
from models.training.clips import Clip
from models.visavis.landmarks import INNER_LIPS, OUTER_LIPS, Placement, align, cut

Crop = Literal["davs", "vox", "tavce"]
HEARD_AHEAD_MS: Final = {"mfcc12": 135, "lws_mel80": 120, "wav2lip_mel80": 133}
_STEADY: Final = (0.2, 0.8)
"""Of the last picture's correction and of this one's own, in PC-AVS's crop."""


def places(clip: Clip, crop: Crop) -> list[Placement]:
    """Where each picture of a clip is cut.

    DAVS turns and scales every picture by itself. PC-AVS (and FC-TFG) turns and scales by the clip's mean points, and
    moves each picture so that its mouth stays in place, smoothed over time. TAVCE's square stands still.
    """
    points = clip.points_px.astype(np.float64)
    if crop == "davs":
        return [align(crop_template(), three_marks(mesh)) for mesh in points]
    if crop == "tavce":
        return [face_square(points)] * len(clip)
    return _vox_places(np.stack([three_points(mesh) for mesh in points]))


def _vox_places(marks: NDArray[np.float64]) -> list[Placement]:
    steady = align(template(), marks.mean(0))
    wanted = steady.to_photo(template()[2:])[0]
    moved = marks[:, 2] - wanted
    out: list[Placement] = []
    bias = moved[0]
    for off in moved:
        bias = _STEADY[0] * bias + _STEADY[1] * off
        out.append(Placement(steady.turn, steady.corner + complex(*bias)))
    return out


def faces(clip: Clip, crop: Crop, frames: Sequence[int], size_px: int) -> Tensor:
    """Crops of some pictures, [len(frames), 3, size_px, size_px], -1 to 1."""
    where = places(clip, crop)
    return torch.cat([cut(clip.picture(frame), where[frame], size_px) for frame in frames])


def mouth_centres(clip: Clip, crop: Crop, frames: Sequence[int], size_px: int) -> Tensor:
    """Medians of the mouths' points in those crops, x, y, px, [len(frames), 2]."""
    lips = mesh_points(clip, crop, frames)[:, [*OUTER_LIPS, *INNER_LIPS]]
    return torch.from_numpy(np.median(lips.numpy(), axis=1) * size_px)


def mesh_points(clip: Clip, crop: Crop, frames: Sequence[int]) -> Tensor:
    """The mesh points in those crops, x, y, [len(frames), 478, 2]; the crop's edges are 0 and 1."""
    where = places(clip, crop)
    return torch.from_numpy(np.stack([where[f].to_crop(clip.points_px[f].astype(np.float64)) for f in frames])).float()


@cache
def _front_end(name: str) -> FrontEnd:
    return Mfcc12() if name == "mfcc12" else Wav2LipMel80()


def windows(clip: Clip, front_end: str, frames: Sequence[int]) -> Tensor:
    """What a system hears of some frames, whole windows with the published look-ahead, [len(frames), rows, bands].

    `lws_mel80` takes the level of the whole clip, as published.
    """
    sound = torch.from_numpy(clip.sound)
    heard = LwsMel80(FixedGain(clip_gain(sound))) if front_end == "lws_mel80" else _front_end(front_end)
    first, last = min(frames), max(frames)
    rows = heard.frames(sound[None], range(first, last + 1), HEARD_AHEAD_MS[front_end])[0]
    return rows[torch.tensor([frame - first for frame in frames])]
