"""How long a system takes to draw one frame on this machine."""

import statistics
import time
from pathlib import Path
from typing import Final

import numpy as np

from models.system import FRAME_MS, SAMPLE_RATE_HZ, System
from stream.config import PHOTO_SUFFIXES
from stream.drive import Drive
from stream.identities import enroll_file

WARM_UP_FRAMES: Final = 5
TIMED_FRAMES: Final = 20


def frame_ms(system: System, photos: Path) -> float | None:
    """Median time of one step in ms, after a warm-up, with the first photo of a folder; None if it has none."""
    photo = next((path for path in sorted(photos.glob("*")) if path.suffix.lower() in PHOTO_SUFFIXES), None)
    if photo is None:
        return None
    drive = Drive(system, enroll_file(system, photo))
    hum = np.sin(np.arange((WARM_UP_FRAMES + TIMED_FRAMES + 5) * FRAME_MS * SAMPLE_RATE_HZ // 1000) / 10)
    took_ms: list[float] = []
    for due in drive.push(0.1 * hum.astype(np.float32)):
        started_s = time.perf_counter()
        drive.draw(due)
        took_ms.append((time.perf_counter() - started_s) * 1000)
    return statistics.median(took_ms[WARM_UP_FRAMES:])
