"""Mouths and sound of the GRID corpus, cut for the sync expert, and the ways in which a learner sees them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from models.audio.log_mel import BANDS, DECADES_PER_UNIT, HOPS_PER_FRAME
from models.system import SAMPLE_RATE_HZ
from models.training.corpus import HELD_OUT_PERCENT, person_hash
from models.training.grid import points_px
from models.training.grid_frames import read_video
from models.training.sync_expert import MOUTH_PX, SEEN_PX, STILL, mel_of, mouths_of
from models.visavis.landmarks import POINTS

_SHIFT: Final = 2.5 / (MOUTH_PX / 2)  # in halves of a crop, as a grid counts
_DB: Final = 0.1 / DECADES_PER_UNIT  # one dB in units of the log-mel


@dataclass(frozen=True)
class SyncClip:
    """One clip as the expert sees it.

    Attributes:
        mouths: [T, MOUTH_PX, MOUTH_PX], uint8.
        mel: [4 T, 80], float32.
        held_out: Whether it is kept from training, by a hash of its name.
    """

    mouths: NDArray[np.uint8]
    mel: NDArray[np.float32]
    held_out: bool


def read_sound(path: Path) -> NDArray[np.float32]:
    """The sound of a film, mono at 16 kHz, [n], -1 to 1."""
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(path), "-ac", "1", "-ar", str(SAMPLE_RATE_HZ)]
    raw = subprocess.run([*command, "-f", "s16le", "-"], check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.int16).astype(np.float32) / 32768.0


def is_held_out(name: str) -> bool:
    """Whether a clip of GRID is kept from training."""
    return int(person_hash(f"grid/{name}"), 16) % 100 < HELD_OUT_PERCENT


def load_clips(data: Path, cache: Path, limit: int | None = None) -> list[SyncClip]:
    """The first `limit` clips under `data` (grid-s1/ and landmarks/) in which every frame is tracked.

    What is cut is kept in the folder `cache`, a file a clip. Needs ffmpeg.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with np.load(data / "landmarks" / "grid-s1.npz") as file:
        index = file["index"].astype(np.int64)
        tracks = {name: file[name] for name in file.files if name != "index" and file[name].any(axis=(1, 2)).all()}
    for name in tqdm(list(tracks)[:limit], unit="clip", desc="mouths"):
        if not (cache / f"{name}.npz").exists():
            _cut(data / "grid-s1" / "video" / f"{name}.mp4", tracks[name], index, cache / f"{name}.npz")
    out: list[SyncClip] = []
    for name in list(tracks)[:limit]:
        with np.load(cache / f"{name}.npz") as file:
            out.append(SyncClip(file["mouths"], file["mel"], is_held_out(name)))
    return out


def _cut(film: Path, track: NDArray[np.uint16], index: NDArray[np.int64], out: Path) -> None:
    pictures = list(read_video(film))[: len(track)]
    points = np.zeros((len(pictures), POINTS, 2))
    points[:, list(STILL)] = points_px(track, index, STILL).numpy()[: len(pictures)]
    partial = out.with_suffix(".partial.npz")
    np.savez(partial, mouths=mouths_of(pictures, points), mel=mel_of(read_sound(film), len(pictures)))
    partial.rename(out)


def draw(clips: list[SyncClip], batch: int, frames: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random stretches of random clips, in random light, at random loudness, in other voices.

    Returns:
        Mouths [batch, frames, SEEN_PX, SEEN_PX], 0 to 1, and rows of log-mel [batch, 4 * frames, 80].
    """
    mouths: list[Tensor] = []
    mels: list[Tensor] = []
    for which in random.integers(len(clips), size=batch):
        clip = clips[which]
        first = int(random.integers(len(clip.mouths) - frames + 1))
        mouths.append(torch.from_numpy(clip.mouths[first : first + frames]).float() / 255.0)
        mels.append(torch.from_numpy(clip.mel[HOPS_PER_FRAME * first : HOPS_PER_FRAME * (first + frames)]))
    return _relight(torch.stack(mouths), random), _revoice(torch.stack(mels), random)


def _relight(mouths: Tensor, random: np.random.Generator) -> Tensor:
    """Shift, turn, scale, squeeze, mirror, relight and blur each clip; a little jitter from frame to frame."""
    batch, frames = mouths.shape[:2]

    def one(low: float, high: float) -> Tensor:
        return torch.from_numpy(random.uniform(low, high, batch)).float()

    turn, scale = torch.deg2rad(one(-8, 8)), SEEN_PX / MOUTH_PX * one(0.87, 1.13)
    wide, flip = scale * one(0.9, 1.1), torch.from_numpy(random.choice([-1.0, 1.0], batch)).float()
    rows = [turn.cos() * wide * flip, -turn.sin() * scale, one(-1, 1) * _SHIFT]
    rows += [turn.sin() * wide * flip, turn.cos() * scale, one(-1, 1) * _SHIFT]
    theta = torch.stack(rows, 1).view(batch, 1, 2, 3).repeat(1, frames, 1, 1)
    theta[..., 2] += 0.006 * torch.from_numpy(random.standard_normal((batch, frames, 2))).float()
    grid = F.affine_grid(theta.flatten(0, 1), [batch * frames, 1, SEEN_PX, SEEN_PX], align_corners=False)
    moved = F.grid_sample(mouths.flatten(0, 1)[:, None], grid, padding_mode="border", align_corners=False)
    lit = moved[:, 0].unflatten(0, (batch, frames)).clamp(1e-3, 1.0) ** one(0.6, 1.6)[:, None, None, None]
    blur = one(0.0, 1.0)[:, None, None, None]
    soft = F.avg_pool2d(lit, 3, 1, 1, count_include_pad=False)
    noise = torch.from_numpy(random.standard_normal(lit.shape, np.float32)) * one(0.0, 0.02)[:, None, None, None]
    return soft * blur + lit * (1.0 - blur) + noise


def _revoice(mel: Tensor, random: np.random.Generator) -> Tensor:
    """Another loudness, timbre, length of the throat and background; now and then a band is missing."""
    batch = len(mel)

    def one(low: float, high: float) -> Tensor:
        return torch.from_numpy(random.uniform(low, high, (batch, 1, 1))).float()

    band = torch.linspace(-1.0, 1.0, BANDS)
    moved = torch.stack([row.roll(int(random.integers(-6, 7)), dims=-1) for row in mel])
    timbre = one(-6, 6) * band + one(-4, 4) * torch.cos(torch.pi * (band * one(1, 4) + one(0, 2)))
    louder = moved + _DB * (one(-14, 8) + timbre)
    floor = _DB * (one(0, 35) + one(-6, 6) * band + 2.0 * torch.from_numpy(random.standard_normal(mel.shape)).float())
    heard = torch.maximum(louder, floor).clamp(min=0.0)
    low, width = one(0, BANDS).long(), one(0, 10).long()
    bands = torch.arange(BANDS)
    return heard * ~((bands >= low) & (bands < low + width))
