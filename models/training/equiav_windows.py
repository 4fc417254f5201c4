"""Mouths and sound of the GRID corpus's tracked clips, from which the talking-face EquiAV draws its windows.

    python -m models.training.equiav_windows --data DIR --out FILE

The mouth is cut from a box that follows the eyes, so that the head stands still in it and the lips do not.
GRID audio-visual sentence corpus (Cooke, Barker, Cunningham, Shao 2006), CC BY 4.0.
"""

import argparse
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from models.audio.kaldi_fbank import KaldiFbank128
from models.equiav.config import SMALL
from models.equiav.inputs import LOG_ENERGIES
from models.system import SAMPLE_RATE_HZ
from models.training.corpus import HELD_OUT_PERCENT, person_hash
from models.training.grid import points_px, smooth
from models.training.grid_frames import read_video
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES

FRAMES: Final = 75
HOPS: Final = 4 * FRAMES
WORKERS: Final = 4
MOUTH_IN_EYES: Final = 1.25
"""Width of the box in distances of the irises."""
_FRONT_END: Final = KaldiFbank128(LOG_ENERGIES)


@dataclass(frozen=True)
class Clips:
    """Whole clips, of which a batch takes windows.

    Attributes:
        mouths: [N, 75, 3, H, W], uint8, RGB levels.
        sound: Log energies of `KaldiFbank128`, centred on the same time as the frames: four per frame, [N, 300, 128],
            float32.
    """

    mouths: Tensor
    sound: Tensor

    def __len__(self) -> int:
        return len(self.mouths)


def is_held_out(name: str) -> bool:
    """Whether a clip is kept from training, by hash of its name: the corpus has one speaker."""
    return int(person_hash(f"grid/{name}"), 16) % 100 < HELD_OUT_PERCENT


def read_sound(path: Path) -> Tensor:
    """The sound of a clip, mono at 16 kHz, [N], -1 to 1."""
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(path), "-f", "f32le", "-ac", "1"]
    raw = subprocess.run([*command, "-ar", str(SAMPLE_RATE_HZ), "-"], check=True, capture_output=True).stdout
    return torch.from_numpy(np.frombuffer(raw, np.float32).copy())


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


def make_clip(path: Path, raw: NDArray[np.uint16], index: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Mouths [75, 3, H, W], uint8, and sound [300, 128] of one clip; a short end repeats the last row."""
    marks = smooth(points_px(raw, index, MEDIAPIPE_68))
    irises = smooth(points_px(raw, index, MEDIAPIPE_IRISES))
    video = torch.from_numpy(read_video(path).copy()).permute(0, 3, 1, 2).float()[:FRAMES]
    height, width = SMALL.video.patch
    mouths = cut(video, mouth_boxes(marks, irises, height / width)[: len(video)], (height, width)).round().byte()
    # row k is then centred on 10 k + 5 ms, and four rows on the middle of their frame
    rows = _FRONT_END(F.pad(read_sound(path), (120, 280))[None])[0, :HOPS]
    return _filled(mouths, FRAMES), _filled(rows, HOPS)


def _filled(rows: Tensor, count: int) -> Tensor:
    return torch.cat([rows, rows[-1:].expand(max(0, count - len(rows)), *rows.shape[1:])])


def load(path: Path, *, held_out: bool) -> Clips:
    """The training clips of a file that `main` wrote, or those held out."""
    file = np.load(path)
    rows = np.flatnonzero(file["held_out"] == held_out)
    return Clips(torch.from_numpy(file["mouths"][rows]), torch.from_numpy(file["sound"][rows].astype(np.float32)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Cut mouths and sound of GRID's tracked clips. Needs ffmpeg.")
    parser.add_argument("--data", type=Path, required=True, help="folder with grid-s1/ and landmarks/")
    parser.add_argument("--out", type=Path, required=True, help="npz to write")
    parser.add_argument("--clips", type=int, default=None, help="only so many")
    args = parser.parse_args()
    torch.set_num_threads(1)
    marks = np.load(args.data / "landmarks" / "grid-s1.npz")
    index: NDArray[np.int64] = marks["index"].astype(np.int64)
    names = [n for n in marks.files if n != "index" and marks[n].any(axis=(1, 2)).mean() > 0.9][: args.clips]
    folder = args.data / "grid-s1" / "video"
    with ThreadPoolExecutor(WORKERS) as pool:  # they wait for ffmpeg
        paths, points = (folder / f"{name}.mp4" for name in names), (marks[name] for name in names)
        done = list(tqdm(pool.map(make_clip, paths, points, repeat(index)), total=len(names), unit="clip"))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        args.out,
        mouths=torch.stack([mouths for mouths, _ in done]).numpy(),
        sound=torch.stack([sound for _, sound in done]).half().numpy(),
        held_out=np.array([is_held_out(name) for name in names]),
        allow_pickle=False,
    )


if __name__ == "__main__":
    main()
