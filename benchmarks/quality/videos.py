"""Systems against videos: each is enrolled with a clip's first picture, hears the clip's sound, and is compared.

All are held to the same pictures: those of the clip within the square about the face of its first picture, at the
clip's own resolution; drawn frames are pasted back into that picture. Nobody is told how the head moves. The photo
itself, which never moves, and the truth go through the same tests.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.quality.curves import correlation
from benchmarks.quality.likeness import Describer
from benchmarks.quality.meter import FaceMeter, Picture
from benchmarks.quality.sharpness import BLOCK_PX, cpbd
from benchmarks.quality.similarity import psnr_db, ssim
from benchmarks.quality.speech import IN_SYNC_FRAMES, film
from models.errors import ModelError
from models.system import FPS, SAMPLE_RATE_HZ, IdentityState, System
from models.tavce.rig_reader import face_square
from models.training import speech_clips
from models.training.clips import Clip, ClipSet
from models.training.sync_expert import LEAST_FRAMES, STILL, Sync, SyncExpert, mel_of, mouths_of
from models.visavis.fit import MEDIAPIPE_IRISES, resample
from models.visavis.landmarks import INNER_LIPS, OUTER_LIPS, align
from stream.pacing import snap

PHOTO: Final = "the photo itself"
TRUTH: Final = "truth"
SILENCE_FRAMES: Final = FPS
"""Silence that follows each clip."""
SETTLED_FRAMES: Final = 10
"""Its end, by when lips should have closed."""
EVERY: Final = 5
"""Of so many frames one is compared pixel by pixel."""
DESCRIBED: Final = 4
"""Pictures of a clip that the recogniser sees."""
STRIPS: Final = 8
_LIPS: Final = (*OUTER_LIPS, *INNER_LIPS)


@dataclass(frozen=True)
class Contender:
    """A system at one look-ahead."""

    system: System
    lookahead_ms: int

    def __str__(self) -> str:
        return f"{self.system.name}, {self.lookahead_ms} ms"


@dataclass(frozen=True)
class Score:
    """One contender on one clip, or the mean over clips.

    Attributes:
        ssim: Structural similarity to the truth, up to 1.
        psnr_db: Peak signal to noise.
        cpbd: Share of sharp edges, see `cpbd`; None where there are no edges.
        lips: LMD: mean distance of the points of the lips from the truth's, once eyes and nose lie on each other, in %
            of the eyes' distance.
        follows: Correlation of the inner lips' distance with the truth's over the clip; None where one stands still.
        offset_frames: How late the sync expert finds the lips; of several clips the mean of the amounts.
        in_sync: Whether that is one frame at most; of several clips the share.
        confidence: How sure the expert is.
        distance: Of dlib's descriptors of the photo and of drawn pictures; below 0.6 is the same person. None without
            a recogniser.
        silent_gap: Mean distance of the inner lips in the end of a second of silence after the clip, as a share of the
            face's height; None for the truth, which ends with the clip.
    """

    ssim: float
    psnr_db: float
    cpbd: float | None
    lips: float
    follows: float | None
    offset_frames: float
    in_sync: float
    confidence: float
    distance: float | None
    silent_gap: float | None


@dataclass(frozen=True)
class VideoReport:
    """The table.

    Attributes:
        clips: How many clips all systems have drawn.
        persons: Of how many persons.
        seconds: How long they are together.
        scores: Mean score of each contender, of the photo and of the truth.
    """

    clips: int
    persons: int
    seconds: float
    scores: dict[str, Score]


def contenders(systems: Sequence[System], lookaheads_ms: Sequence[int]) -> list[Contender]:
    """Each system at the offered look-aheads nearest to those wanted."""
    chosen = [(system, sorted({snap(ms, system.lookahead_ms) for ms in lookaheads_ms})) for system in systems]
    return [Contender(system, ms) for system, many in chosen for ms in many]


def measure_videos(
    wanted: Sequence[Contender], folder: Path, count: int, expert: SyncExpert, recogniser: Path | None
) -> tuple[VideoReport, list[list[Picture]], list[tuple[str, str]]]:
    """Compare contenders on held-out clips.

    Args:
        wanted: At least one.
        folder: Where `visavis corpus videos` or `visavis corpus spoken` wrote.
        count: Look at no more clips; they are taken evenly from all.
        expert: Judges synchrony.
        recogniser: dlib's `dlib_face_recognition_resnet_model_v1.dat`.

    Returns:
        The table; strips of one moment of some clips: photo, contenders, truth; clips that a system refused, and why.

    Raises:
        NoClipsError: If the folder holds no held-out clips of 1.6 s or more.
        NoneDrawnError: If every one was refused.
    """
    clips = ClipSet(folder, held_out=True, frames=LEAST_FRAMES)
    describe = None if recogniser is None else Describer(recogniser)
    scores: dict[str, list[Score]] = {}
    strips: list[list[Picture]] = []
    refused: list[tuple[str, str]] = []
    persons: set[str] = set()
    frames = 0
    chosen = np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int).tolist()
    for number in tqdm(chosen, unit="clip", disable=not sys.stderr.isatty()):
        clip, name = clips[number], clips.clips[number].path.stem
        try:
            shown = _draw(wanted, clip)
        except ModelError as error:
            refused.append((name, str(error)))
            continue
        judge = _Judge(clip, shown[TRUTH], expert, describe)
        for who, pictures in shown.items():
            scores.setdefault(who, []).append(judge(pictures))
        if len(strips) < STRIPS:
            strips.append([pictures[judge.widest] for pictures in shown.values()])
        persons.add(clip.person)
        frames += len(clip)
    if not scores:
        raise NoneDrawnError(folder, refused)
    means = {who: _mean(many) for who, many in scores.items()}
    return VideoReport(len(scores[TRUTH]), len(persons), round(frames / FPS, 1), means), strips, refused


class NoneDrawnError(ModelError, ValueError):
    """No clip of a folder was drawn by all systems."""

    def __init__(self, folder: Path, refused: Sequence[tuple[str, str]]) -> None:
        self.folder, self.refused = folder, refused

    def __str__(self) -> str:
        name, reason = self.refused[0]
        return f"got no clip of {self.folder} that every system can draw, want other clips; {name}: {reason}"


def _draw(wanted: Sequence[Contender], clip: Clip) -> dict[str, list[Picture]]:
    """The clip's square as each contender shows it, a second of silence included, between photo and truth."""
    photo = clip.picture(0)
    square = face_region(clip.points_px[0], photo.shape[0])
    x0, y0, x1, y1 = square
    truth = [clip.picture(frame)[y0:y1, x0:x1] for frame in range(len(clip))]
    silence = np.zeros(SILENCE_FRAMES * SAMPLE_RATE_HZ // FPS, np.float32)
    sound = np.round(np.concatenate([clip.sound, silence]) * 32767).astype(np.int16)
    shown = {PHOTO: [truth[0]] * (len(clip) + SILENCE_FRAMES)}
    identities: dict[str, IdentityState] = {}
    for who in wanted:  # all of them before any draws: a clip that one refuses is nobody's
        if who.system.name not in identities:
            identities[who.system.name] = who.system.enroll(photo, "photo")
    for who in wanted:
        identity = identities[who.system.name]
        drawn = film(who.system, identity, speech_clips.Clip(sound, ()), who.lookahead_ms)
        shown[str(who)] = [cut_out(picture, identity, square) for picture in drawn]
    return shown | {TRUTH: truth}


def face_region(points_px: NDArray[np.float32], picture_px: int) -> tuple[int, int, int, int]:
    """The square about a face [478, 2] (x0, y0, x1, y1), px, within a square picture; holds the head."""
    square = face_square(points_px[None].astype(np.float64))
    side = min(max(round(square.side_px), BLOCK_PX), picture_px)
    x, y = (min(max(round(at), 0), picture_px - side) for at in (square.corner.real, square.corner.imag))
    return x, y, x + side, y + side


def cut_out(picture: Picture, identity: IdentityState, square: tuple[int, int, int, int]) -> Picture:
    """What a drawn picture in framing `photo` shows of a square of the photo, at the photo's resolution."""
    canvas = identity.canvas
    assert canvas is not None, "enrolled in framing photo"
    assert canvas.place is not None, "enrolled just now"
    left, top, right, _ = canvas.place
    scale = picture.shape[1] / (right - left)
    x0, y0, x1, y1 = ((at - first) * scale for at, first in zip(square, (left, top, left, top), strict=True))
    return resample(picture, (x0, y0, x1, y1), (square[2] - square[0], square[3] - square[1]))


class _Judge:
    """Measures pictures against one clip.

    Attributes:
        widest: The frame in which the truth opens its mouth widest.
    """

    def __init__(
        self,
        clip: Clip,
        truth: list[Picture],
        expert: SyncExpert,
        describe: Callable[[Picture, NDArray[np.float64]], NDArray[np.float64]] | None,
    ) -> None:
        self._truth, self._expert, self._describe = truth, expert, describe
        self._meter = FaceMeter(truth[0])
        seen = self._meter.look(truth)
        self._points = seen.points_px
        self._mel = mel_of(clip.sound, len(truth))
        self._own = describe(truth[0], self._points[0]) if describe else None
        self._gap = seen.lip_gap
        self.widest = int(seen.lip_gap.argmax())

    def __call__(self, pictures: list[Picture]) -> Score:
        seen = self._meter.look(pictures)
        count = len(self._truth)
        pairs = list(zip(pictures[:count], self._truth, strict=True))[EVERY::EVERY]  # the first one is the photo
        sharp = [value for picture, _ in pairs if (value := cpbd(picture)) is not None]
        sync: Sync = self._expert.judge(mouths_of(pictures[:count], seen.points_px[:count]), self._mel)
        after = seen.lip_gap[count:]
        return Score(
            ssim=float(np.mean([ssim(*pair) for pair in pairs])),
            psnr_db=float(np.mean([psnr_db(*pair) for pair in pairs])),
            cpbd=float(np.mean(sharp)) if sharp else None,
            lips=float(np.mean([lip_distance(*two) for two in zip(seen.points_px[:count], self._points, strict=True)])),
            follows=correlation(seen.lip_gap[:count], self._gap),
            offset_frames=float(abs(sync.offset_frames)),
            in_sync=float(abs(sync.offset_frames) <= IN_SYNC_FRAMES),
            confidence=sync.confidence,
            distance=self._distance(pictures, seen.points_px),
            silent_gap=float(after[-SETTLED_FRAMES:].mean()) if after.size else None,
        )

    def _distance(self, pictures: list[Picture], points_px: NDArray[np.float64]) -> float | None:
        if self._describe is None or self._own is None:
            return None
        frames = np.linspace(0, len(self._truth) - 1, DESCRIBED + 1).round().astype(int)[1:]
        found = [self._describe(pictures[frame], points_px[frame]) for frame in frames.tolist()]
        return float(np.mean([np.linalg.norm(one - self._own) for one in found]))


def lip_distance(points_px: NDArray[np.float64], truth_px: NDArray[np.float64]) -> float:
    """LMD of the lips of two faces [478, 2], see `Score.lips`."""
    still = list(STILL)
    eyes_px = float(np.linalg.norm(np.subtract(*truth_px[list(MEDIAPIPE_IRISES)])))
    moved = align(truth_px[still], points_px[still]).to_crop(points_px)
    return float(np.linalg.norm(moved - truth_px, axis=1)[list(_LIPS)].mean() * 100 / eyes_px)


def _mean(scores: Sequence[Score]) -> Score:
    means: dict[str, Any] = {}
    for field in fields(Score):
        known = [value for score in scores if (value := getattr(score, field.name)) is not None]
        means[field.name] = round(float(np.mean(known)), 4) if known else None
    return Score(**means)
