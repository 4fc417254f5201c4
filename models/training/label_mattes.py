"""Mattes of portraits by MediaPipe: `python -m models.training.label_mattes --work DIR`.

In an environment of its own: mediapipe 0.10.21, the last with its models inside, wants an older numpy than the project.
Reads the frames that `models.training.train_matte` cut and writes `DIR/mattes.npy`, [N, S, S], uint8.
"""

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

FRAMES = "frames.npz"
MATTES = "mattes.npy"
_LARGER = 2  # the segmenter wants 256 px


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Label the matte trainer's frames with MediaPipe.")
    parser.add_argument("--work", type=Path, required=True, help="the folder of models.training.train_matte")
    work: Path = parser.parse_args(argv).work
    segmenter: Any = import_module("mediapipe").solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)
    with np.load(work / FRAMES) as file:
        frames = file["frames"]
    mattes = np.empty(frames.shape[:3], np.uint8)
    for i, frame in enumerate(frames):
        large = np.kron(frame, np.ones((_LARGER, _LARGER, 1), np.uint8))
        found = segmenter.process(large).segmentation_mask
        cells = found.reshape(len(frame), _LARGER, len(frame), _LARGER).mean(axis=(1, 3))
        mattes[i] = np.rint(cells * 255.0)
        if i % 200 == 199:
            print(f"{i + 1} of {len(frames)} frames", flush=True)
    np.save(work / MATTES, mattes)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
