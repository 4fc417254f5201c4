"""Rig controls of the GRID corpus's tracked clips: real articulation for the audio-to-rig net.

    python -m models.training.grid --data DIR --out FILE

GRID audio-visual sentence corpus (Cooke, Barker, Cunningham, Shao 2006), CC BY 4.0; one speaker, 3 s clips at 25 fps.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from models.rig import BLENDSHAPES, CONTROLS, INDEX
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES, fit, mark_offset_cm, track
from models.visavis.ict import Rig, Shape

VIDEO_PX = 224
REFERENCE_CLIPS = 40
SMOOTH_FRAMES = (0.25, 0.5, 0.25)
"""Landmarks jitter by a quarter pixel from frame to frame; this halves it and delays nothing."""


def points_px(raw: NDArray[np.uint16], index: NDArray[np.int64], wanted: tuple[int, ...]) -> Tensor:
    """Tracked points [F, len(wanted), 2] in px of the video; frames that were missed are filled from their neighbours.

    Args:
        raw: One clip of `grid-s1.npz`, [F, 156, 2], 32768 v + 16384 with v = x / width; all zero is a missed frame.
        index: Which of the 478 points each column is, [156].
        wanted: Points of the 478 to return.
    """
    column = {int(point): i for i, point in enumerate(index)}
    chosen = raw[:, [column[point] for point in wanted]].astype(np.float64)
    frames = np.arange(len(raw))
    found = raw.any(axis=(1, 2))
    values = (chosen.reshape(len(raw), -1) - 16384) / 32768 * VIDEO_PX
    filled = np.stack([np.interp(frames, frames[found], row[found]) for row in values.T], axis=1)
    return torch.from_numpy(filled.reshape(len(raw), len(wanted), 2)).float()


def smooth(values: Tensor) -> Tensor:
    """Values [F, ...] under a short symmetric window."""
    padded = torch.cat([values[:1], values, values[-1:]])
    before, here, after = SMOOTH_FRAMES
    return before * padded[:-2] + here * padded[1:-1] + after * padded[2:]


def aperture(marks: Tensor) -> Tensor:
    """How far the lips are apart, as a share of the mouth's width, [F], from 68 points [F, 68, 2]."""
    return (marks[:, 66] - marks[:, 62]).norm(dim=1) / (marks[:, 54] - marks[:, 48]).norm(dim=1)


class Tracks:
    """All tracked clips of the corpus and the one speaker's shape."""

    def __init__(self, data: Path, rig: Rig) -> None:
        file = np.load(data / "landmarks" / "grid-s1.npz")
        self.rig = rig
        self.index: NDArray[np.int64] = file["index"].astype(np.int64)
        self.raw: dict[str, NDArray[np.uint16]] = {name: file[name] for name in file.files if name != "index"}
        self.names = [name for name, raw in self.raw.items() if raw.any(axis=(1, 2)).sum() > len(raw) // 2]
        self.speaker = self._speaker()

    def points(self, name: str) -> tuple[Tensor, Tensor]:
        """The 68 points [F, 68, 2] and the irises [F, 2, 2] of a clip, px of the video."""
        raw = self.raw[name]
        return smooth(points_px(raw, self.index, MEDIAPIPE_68)), smooth(points_px(raw, self.index, MEDIAPIPE_IRISES))

    def _speaker(self) -> Shape:
        """Identity from the median face of the clips' first, silent frames, brought upright before the median."""
        upright: list[Tensor] = []
        eyes: list[Tensor] = []
        for name in self.names[:: max(1, len(self.names) // REFERENCE_CLIPS)]:
            marks, irises = (values[2:6].mean(0) for values in self.points(name))
            middle, size = marks[36:48].mean(0), (marks[45] - marks[36]).norm()
            upright.append((marks - middle) / size)
            eyes.append((irises - middle) / size)
        width_px = 100.0
        marks = torch.stack(upright).median(0).values * width_px
        return fit(self.rig, marks, torch.stack(eyes).median(0).values * width_px)

    def shapes(self, name: str) -> list[Shape]:
        """The speaker in every frame of a clip, in px of the video; the clip's most closed mouths count as rest."""
        marks, irises = self.points(name)
        closed = aperture(marks).argsort()[: len(marks) // 4]
        offset_cm = mark_offset_cm(self.rig, self.speaker, marks[closed])
        return track(self.rig, self.speaker, marks, irises, offset_cm)

    def controls(self, name: str) -> Tensor:
        """Controls [F, 57] of a clip relative to the speaker at rest; head and gaze relative to the clip's median."""
        return self.controls_of(self.shapes(name))

    def controls_of(self, shapes: list[Shape]) -> Tensor:
        """`controls` from the clip's `shapes`."""
        out = torch.zeros(len(shapes), len(CONTROLS))
        out[:, : len(BLENDSHAPES)] = torch.stack([shape.expression for shape in shapes]) - self.speaker.rest
        angles = torch.stack([shape.angles_deg for shape in shapes])
        gaze = torch.stack([shape.gaze_deg for shape in shapes]).mean(1)
        turned = torch.cat([angles, gaze], 1)
        columns = [INDEX[n] for n in ("headYaw", "headPitch", "headRoll", "gazeYaw", "gazePitch")]
        out[:, columns] = turned - turned.median(0).values
        return out


def main() -> None:
    parser = argparse.ArgumentParser(description="Turn GRID's tracked landmarks into rig controls.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds landmarks/grid-s1.npz")
    parser.add_argument("--out", type=Path, required=True, help="npz to write: an array [75, 57] per clip")
    parser.add_argument("--clips", type=int, default=None, help="only so many")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tracks = Tracks(args.data, Rig.load())
    done = {name: tracks.controls(name).numpy() for name in tqdm(tracks.names[: args.clips], unit="clip")}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(args.out, allow_pickle=False, **done)


if __name__ == "__main__":
    main()
