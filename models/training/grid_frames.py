"""Real mouths for the renderer: frames of the GRID corpus in the layout of `models.training.pairs`.

    python -m models.training.grid_frames --data DIR --out DIR --clips 100

One clip counts as one person: image 0 is a frame with closed lips, the others differ from it and from each other as
much as the clip allows. Every frame is cut so that neck and scale stay where they are in image 0. Needs ffmpeg.
"""

import argparse
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from models.rig import SPEECH, columns
from models.training.corpus import is_held_out, person_hash
from models.training.grid import VIDEO_PX, Tracks, aperture
from models.training.pairs import PERSONS_PER_FILE, Person, save
from models.visavis.fit import FRAME_PX, Box, crop, crop_box, shape_in_frame, to_frame
from models.visavis.ict import Rig, Shape


def read_video(path: Path) -> NDArray[np.uint8]:
    """All frames of a clip, RGB, [F, 224, 224, 3]."""
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, VIDEO_PX, VIDEO_PX, 3)


def spread(values: Tensor, first: int, count: int) -> list[int]:
    """Rows of `values` [F, K], `first` to begin with, each next one the farthest from all taken."""
    chosen = [first]
    nearest = (values - values[first]).norm(dim=1)
    while len(chosen) < min(count, len(values)):
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (values - values[chosen[-1]]).norm(dim=1))
    return chosen


def steady_box(reference: Shape, box: Box, shape: Shape) -> Box:
    """The box that shows `shape` with its neck where `reference` has it in `box`, at the same scale."""
    factor = float(shape.scale_px_per_cm / reference.scale_px_per_cm)
    x, y = (shape.centre_px - (reference.centre_px - torch.tensor(box[:2])) * factor).tolist()
    side = (box[2] - box[0]) * factor
    return x, y, x + side, y + side


def make_clip(tracks: Tracks, name: str, video: NDArray[np.uint8], frames: int) -> Person:
    """One clip as a person: `frames` frames of it, closed lips first."""
    marks, _ = tracks.points(name)
    shapes = tracks.shapes(name)
    controls = tracks.controls_of(shapes)
    first = int(aperture(marks).argmin())
    usable = min(len(shapes), len(video))
    chosen = spread(controls[:usable, columns(SPEECH)], min(first, usable - 1), frames)
    reference = shapes[chosen[0]]
    box = crop_box(reference)
    images = [crop(video[i], steady_box(reference, box, shapes[i]), FRAME_PX) for i in chosen]
    corners = torch.tensor([[0.0, 0.0], [VIDEO_PX, VIDEO_PX]])
    picked = controls[chosen].clone()
    picked[:, 52:] -= controls[chosen[0], 52:]
    return Person(
        images=np.stack(images),
        controls=picked.numpy(),
        shape=shape_in_frame(replace(reference, rest=tracks.speaker.rest), box, FRAME_PX),
        held_out=is_held_out(person_hash(f"grid/{name}")),
        folder="grid",
        valid=to_frame(corners, box, FRAME_PX).flatten().numpy(),
    )


def cut_people(data: Path, first: int, count: int, frames: int) -> Iterator[Person]:
    """Cut the clips from number `first` on, without storing them."""
    tracks = Tracks(data, Rig.load())
    for name in tracks.names[first : first + count]:
        yield make_clip(tracks, name, read_video(data / "grid-s1" / "video" / f"{name}.mp4"), frames)


def main() -> None:
    parser = argparse.ArgumentParser(description="Cut frames of GRID's tracked clips as training pairs.")
    parser.add_argument("--data", type=Path, required=True, help="folder with grid-s1/ and landmarks/")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write grid-NNN.npz to; what is there is kept"
    )
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--frames", type=int, default=14, help="images per clip")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tracks = Tracks(args.data, Rig.load())
    args.out.mkdir(parents=True, exist_ok=True)
    names = tracks.names[:: max(1, len(tracks.names) // args.clips)][: args.clips]
    with tqdm(total=len(names), unit="clip") as bar:
        for start in range(0, len(names), PERSONS_PER_FILE):
            path = args.out / f"grid-{start // PERSONS_PER_FILE:03d}.npz"
            some = names[start : start + PERSONS_PER_FILE]
            clips: list[Person] = []
            for name in () if path.exists() else some:
                video = read_video(args.data / "grid-s1" / "video" / f"{name}.mp4")
                clips.append(make_clip(tracks, name, video, args.frames))
                bar.update()
            if clips:
                save(path, clips)
            else:
                bar.update(len(some))


if __name__ == "__main__":
    main()
