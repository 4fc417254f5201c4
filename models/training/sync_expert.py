"""Do lips and voice belong together? Two small nets that look at 200 ms of a mouth and of its sound.

Both give a point on the unit sphere, near each other where picture and sound are of the same moment: Chung and
Zisserman, "Out of time: automated lip sync in the wild", ACCV 2016 workshops, sections 3 and 4. Only for measuring: no
face is ever trained against it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from models.audio.log_mel import HOP_SAMPLES, HOPS_PER_FRAME, log_mel
from models.visavis.landmarks import OUTER_LIPS, Placement, align, cut, load_net

SPAN_FRAMES: Final = 5
SPAN_HOPS: Final = SPAN_FRAMES * HOPS_PER_FRAME
MOUTH_PX: Final = 64
SEEN_PX: Final = 56
"""What the net looks at: the middle of a mouth crop; the border is for the trainer's shifts."""
REACH: Final = 15
"""Offsets looked at, in frames to either side."""
LEAST_FRAMES: Final = 40
"""A clip must last so long to be judged: at the farthest offset some twenty frames are left to compare."""

STILL: Final = (33, 133, 362, 263, 168, 197, 5, 4, 2, 97, 326)  # corners of the eyes, nose: what speech does not move
_EMBEDDING: Final = 128
_SIDE: Final = 1.7  # of the mouth crop, in widths of the mean mouth
_LOWER: Final = 0.1  # how far below the mouth its middle lies, in sides
_LUMA: Final = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Sync:
    """How lips and voice of one clip lie to each other.

    Attributes:
        offset_frames: How late the lips are, in frames of 40 ms; negative where they are early.
        confidence: Median less least mean distance over all offsets (section 4 of the paper); near 0 says that no
            offset stands out.
        distances: Mean distance for lips that are -15 to 15 frames late, [31].
    """

    offset_frames: int
    confidence: float
    distances: tuple[float, ...]


def _conv(inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int]) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class SyncExpert(nn.Module):
    """Both nets, 3 MMAC a frame each. They look at half the resolution of a crop, in pixels and in bands."""

    def __init__(self) -> None:
        super().__init__()
        self.eye = nn.Sequential(
            nn.AvgPool2d(2),
            _conv(SPAN_FRAMES, 32, 5, 2),
            _conv(32, 64, 3, 2),
            _conv(64, 96, 3, 2),
            nn.Flatten(),
            nn.Linear(96 * 4 * 4, _EMBEDDING),
        )
        self.ear = nn.Sequential(
            nn.AvgPool2d((1, 2)),
            _conv(1, 24, 3, (1, 2)),
            _conv(24, 48, 3, 2),
            _conv(48, 96, 3, 2),
            _conv(96, 128, 3, 2),
            nn.Flatten(),
            nn.Linear(128 * 3 * 3, _EMBEDDING),
        )

    @classmethod
    def load(cls, path: Path) -> "SyncExpert":
        """The net with weights that `models.training.train_sync` wrote, ready to measure."""
        net = cls()
        net.load_state_dict(load_file(path))
        return net.eval().requires_grad_(False)

    def see(self, mouths: Tensor) -> Tensor:
        """Where pictures lie on the sphere.

        Args:
            mouths: Grey crops of consecutive frames, [B, T, SEEN_PX, SEEN_PX], float32, about 0 to 1.

        Returns:
            [B, T - 4, 128]: row t is of frames t to t + 4.
        """
        spans = mouths.unfold(1, SPAN_FRAMES, 1).permute(0, 1, 4, 2, 3)  # [B, T - 4, 5, S, S]
        # the light of a photo says nothing of its sound
        spans = spans - spans.mean((2, 3, 4), keepdim=True)
        spans = spans / (spans.std((2, 3, 4), keepdim=True) + 0.02)
        return F.normalize(self.eye(spans.flatten(0, 1)).unflatten(0, spans.shape[:2]), dim=-1)

    def hear(self, mel: Tensor) -> Tensor:
        """Where sounds lie on the sphere.

        Args:
            mel: Rows of `log_mel80`, [B, 4 T, 80].

        Returns:
            [B, T - 4, 128]: row t is of the 200 ms that frames t to t + 4 last.
        """
        spans = mel.unfold(1, SPAN_HOPS, HOPS_PER_FRAME).transpose(2, 3)  # [B, T - 4, 20, 80]
        return F.normalize(self.ear(spans.flatten(0, 1)[:, None]).unflatten(0, spans.shape[:2]), dim=-1)

    @torch.no_grad()
    def judge(self, mouths: NDArray[np.uint8], mel: NDArray[np.float32]) -> Sync:
        """Find the offset of a clip.

        Args:
            mouths: What `mouths_of` gave, [T, MOUTH_PX, MOUTH_PX].
            mel: What `mel_of` gave, [4 T, 80].

        Raises:
            ValueError: If the clip is shorter than `LEAST_FRAMES`.
        """
        if len(mouths) < LEAST_FRAMES:
            raise ValueError(f"got a clip of {len(mouths)} frames, want at least {LEAST_FRAMES}: leave it out")
        seen = self.see(middle(torch.from_numpy(mouths).float() / 255.0)[None])[0]
        heard = self.hear(torch.from_numpy(mel)[None])[0]
        apart = torch.cdist(seen, heard)
        # lips that are k frames late show the sound of k frames ago
        distances = [float(apart.diagonal(-late).mean()) for late in range(-REACH, REACH + 1)]
        best = int(np.argmin(distances))
        return Sync(best - REACH, float(np.median(distances)) - distances[best], tuple(distances))


def middle(mouths: Tensor) -> Tensor:
    """The part of crops [..., MOUTH_PX, MOUTH_PX] that the net looks at."""
    edge = (MOUTH_PX - SEEN_PX) // 2
    return mouths[..., edge : edge + SEEN_PX, edge : edge + SEEN_PX]


def mel_of(sound: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """`log_mel80` of a clip's sound, [n] at 16 kHz, cut or filled with silence to [4 * frames, 80]."""
    samples = frames * HOPS_PER_FRAME * HOP_SAMPLES
    return log_mel(np.pad(sound[:samples], (0, max(0, samples - len(sound)))))


def mouths_of(pictures: Sequence[NDArray[np.uint8]], points_px: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Cut the mouths of a clip out, upright, at one size, held still by eyes and nose.

    Args:
        pictures: RGB, [H, W, 3] each, T of them.
        points_px: Mesh points, [T, 478, 2].

    Returns:
        Grey, [T, MOUTH_PX, MOUTH_PX], uint8.
    """
    mean = load_net().mean_shape.double().numpy()
    lips = mean[list(OUTER_LIPS)]
    side = _SIDE * float(np.ptp(lips[:, 0]))
    corner = lips.mean(axis=0) - side * np.array([0.5, 0.5 - _LOWER])
    faces = [align(mean[list(STILL)], points) for points in points_px[:, list(STILL)]]
    turns = _steady(np.array([face.turn for face in faces]))
    corners = _steady(np.array([face.corner for face in faces])) + turns * complex(*corner)
    luma = torch.tensor(_LUMA)[:, None, None]
    out: list[Tensor] = []
    for picture, turn, corner in zip(pictures, turns * side, corners, strict=True):
        mouth = cut(picture, Placement(complex(turn), complex(corner)), MOUTH_PX)[0]
        out.append(((mouth + 1.0) * 127.5 * luma).sum(0))
    return torch.stack(out).round().clamp(0, 255).byte().numpy()


def _steady(values: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The mean over five frames: landmarks jitter, and a crop that jitters looks like speech."""
    padded = np.concatenate([[values[0]] * 2, values, [values[-1]] * 2])
    return np.lib.stride_tricks.sliding_window_view(padded, 5).mean(axis=1)
