"""Mesh points on re-rendered states, by MediaPipe: portraits hardly show closed lids, a gaze aside or a nod.

`python -m models.training.label_renders --pairs DIR`, in an environment of its own: mediapipe 0.10.21, the last with
its models inside, wants an older numpy than the project. It writes `DIR/labels/<shard>.npy`.
"""

import argparse
from collections.abc import Sequence
from importlib import import_module
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LABELS = "labels"
_LARGE_PX = 512


def label(shard: Path) -> None:
    """Write the points of one shard's pictures, [N, S, 478, 2], float32, px; NaN where no face was seen."""
    mesh: Any = import_module("mediapipe").solutions.face_mesh
    tracker = mesh.FaceMesh(static_image_mode=True, refine_landmarks=True, min_detection_confidence=0.3)
    with np.load(shard) as file:
        images: NDArray[np.uint8] = file["images"]
    points = np.full((*images.shape[:2], 478, 2), np.nan, np.float32)
    side = images.shape[2]
    grow = max(1, _LARGE_PX // side)  # irises of a small face are few pixels
    for place in np.ndindex(images.shape[:2]):
        large = np.kron(images[place], np.ones((grow, grow, 1), np.uint8))
        found = tracker.process(large).multi_face_landmarks
        if found:
            points[place] = [(point.x * side, point.y * side) for point in found[0].landmark]
    out = shard.parent / LABELS / f"{shard.stem}.npy"
    out.parent.mkdir(exist_ok=True)
    np.save(out, points)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; shards that have labels are left alone."""
    parser = argparse.ArgumentParser(description="Label the re-rendered states with MediaPipe.")
    parser.add_argument("--pairs", type=Path, required=True, help="what models.training.pairs wrote")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args(argv)
    shards = [p for p in sorted(args.pairs.glob("*.npz")) if not (args.pairs / LABELS / f"{p.stem}.npy").exists()]
    with Pool(args.processes) as pool:
        for done, _ in enumerate(pool.imap(label, shards), 1):
            print(f"{done} of {len(shards)} shards", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
