"""How EquiAV is scored on held-out clips; `visavis eval --system equiav --videos DIR` does it.

Retrieval: every held-out clip gives three windows that do not overlap; a window of one modality asks for its own among
all windows of the other. Synchrony: a window of mouths is compared with the sound at -15 to +15 frames (0.6 s); right
is a best offset of at most one frame, for single windows and for the mean over a clip's windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from tqdm import tqdm

from models.equiav.config import WINDOW_FRAMES, WINDOW_HOPS
from models.equiav.scorer import Scorer

CLIP_FRAMES: Final = 60
GALLERY: Final = 3
MOST_OFFSET: Final = 15
RIGHT_OFFSET: Final = 1


@dataclass(frozen=True)
class Retrieval:
    """Shares of questions whose answer is among the first 1, 5, 10, and the median rank, 1 at best."""

    r1: float
    r5: float
    r10: float
    median_rank: float


@dataclass(frozen=True)
class Score:
    """One network on the held-out clips; chance for `windows` questions and 31 offsets is in `chance_*`."""

    clips: int
    windows: int
    audio_to_video: Retrieval
    video_to_audio: Retrieval
    sync_window: float
    sync_clip: float
    chance_r1: float
    chance_sync: float


def retrieval(similarity: Tensor) -> Retrieval:
    """Of a square matrix, questions down, answers across, the right ones on the diagonal; ties count against."""
    others = similarity - torch.diag(torch.full((len(similarity),), torch.inf))
    rank = 1 + (others >= similarity.diagonal()[:, None]).sum(1)
    shares = [float((rank <= most).double().mean()) for most in (1, 5, 10)]
    return Retrieval(*shares, median_rank=float(rank.double().quantile(0.5)))


def offset_scores(similarity: Tensor) -> Tensor:
    """Similarity of each window of mouths to the sound at each offset.

    Args:
        similarity: One clip's, windows of mouths down, of sound across, [S, S].

    Returns:
        [S - 30, 31]: column 15 is sound and mouths of the same time, later ones later sound.
    """
    rows = torch.arange(MOST_OFFSET, len(similarity) - MOST_OFFSET)
    return similarity[rows[:, None], rows[:, None] + torch.arange(-MOST_OFFSET, MOST_OFFSET + 1)]


def right_share(scores: Tensor) -> float:
    """Share of rows of `offset_scores` whose best offset is at most one frame."""
    return float(((scores.argmax(1) - MOST_OFFSET).abs() <= RIGHT_OFFSET).double().mean())


def score(scorer: Scorer, clips: Sequence[tuple[Tensor, Tensor]]) -> Score:
    """Score a network on whole clips of `equiav_windows.mouths_and_sound`, each of 60 frames or more."""
    pairs = [_embed(scorer, *clip) for clip in tqdm(clips, unit="clip", leave=False)]
    asked = torch.cat([sound[_gallery(len(sound))] for sound, _ in pairs])
    answered = torch.cat([mouths[_gallery(len(mouths))] for _, mouths in pairs])
    similarity = asked @ answered.T
    offsets = [offset_scores(mouths @ sound.T) for sound, mouths in pairs]
    return Score(
        clips=len(clips),
        windows=len(asked),
        audio_to_video=retrieval(similarity),
        video_to_audio=retrieval(similarity.T),
        sync_window=right_share(torch.cat(offsets)),
        sync_clip=right_share(torch.stack([scores.mean(0) for scores in offsets])),
        chance_r1=1 / len(asked),
        chance_sync=(2 * RIGHT_OFFSET + 1) / (2 * MOST_OFFSET + 1),
    )


def _gallery(starts: int) -> list[int]:
    """Windows of a clip that do not overlap: at both ends and in the middle."""
    return [(starts - 1) * place // (GALLERY - 1) for place in range(GALLERY)]


def _embed(scorer: Scorer, mouths: Tensor, sound: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings of all windows of one clip, sound and mouths, [T - 15, 128] each."""
    starts = torch.arange(len(mouths) - WINDOW_FRAMES + 1)[:, None]
    seen = mouths[starts + torch.arange(WINDOW_FRAMES)].float() / 255
    return scorer.embed_sound(sound[4 * starts + torch.arange(WINDOW_HOPS)]), scorer.embed_mouths(seen)
