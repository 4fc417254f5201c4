"""EquiAV on held-out clips: does it find the mouth to a sound among all others, and the sound's place in time?

It draws nothing, so its rows are apart from those of the systems that do.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.page import Table
from benchmarks.quality.page import Chapter
from models.equiav.scorer import Scorer
from models.training.clips import ClipSet
from models.training.equiav_score import CLIP_FRAMES, Score, score
from models.training.equiav_windows import MouthSet

PLAIN: Final = "equiav-plain"
"""The same encoders, trained by contrast between the modalities alone."""
SYSTEMS: Final = ("equiav", PLAIN)


def measure_matching(files: Sequence[tuple[str, Path]], folder: Path, count: int) -> dict[str, Score]:
    """Score files of weights on held-out clips.

    Args:
        files: Which of `SYSTEMS`, and what `visavis train` wrote of it.
        folder: Where `visavis corpus videos` or `visavis corpus spoken` wrote.
        count: Look at no more clips.

    Returns:
        A score by system and the file's name.

    Raises:
        NoClipsError: If the folder holds no held-out clips of 2.4 s or more.
        CheckpointError: If a file holds no such weights.
    """
    mouths = MouthSet(ClipSet(folder, held_out=True, frames=CLIP_FRAMES))
    clips = [mouths[row] for row in range(min(count, len(mouths)))]
    return {f"{name}, {path.stem}": score(Scorer.load(path, plain=name == PLAIN), clips) for name, path in files}


def matching_chapter(scores: dict[str, Score]) -> Chapter:
    """Shares of right answers of each file, and of chance."""
    some = next(iter(scores.values()))
    heads = ("weights", *(f"{way} R@{most}" for way in ("sound to mouth", "mouth to sound") for most in (1, 5, 10)))
    rows: list[tuple[str | float | None, ...]] = [(name, *_shares(of)) for name, of in scores.items()]
    chance = [min(1.0, some.chance_r1 * most) for most in (1, 5, 10)]
    rows.append(("chance", *chance, *chance, some.chance_sync, some.chance_sync))
    table = Table((*heads, "in sync, windows", "in sync, clips"), rows)
    return Chapter(f"EquiAV: {some.windows} windows of {some.clips} held-out clips", tables=[table])


def _shares(of: Score) -> list[float]:
    ways = (of.audio_to_video, of.video_to_audio)
    return [*(asdict(way)[name] for way in ways for name in ("r1", "r5", "r10")), of.sync_window, of.sync_clip]
