"""What the lips do: closed and still in silence, open and closed with the sounds of speech."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.curves import lag_frames
from benchmarks.quality.meter import FaceMeter, Picture
from models.system import FPS, SAMPLE_RATE_HZ, IdentityState, System
from models.training.phones import Phone
from models.training.speech_clips import Clip, read_clips
from models.training.speech_examples import curves_of
from models.training.speech_score import CLOSED_SHARE, aperture, lowest
from models.training.sync_expert import LEAST_FRAMES, Sync, SyncExpert, mel_of, mouths_of
from models.training.visemes import CLOSED
from stream.compose import to_pixels
from stream.drive import Drive

NEAR_S: Final = 0.06
INNER_S: Final = 0.04
NOISE_DBFS: Final = -50.0
CORNER: Final = 3 / 32  # of the frame's side
LEAD_FRAMES: Final = 5  # the first frames of a drive, before its filters have settled
IN_SYNC_FRAMES: Final = 1
_CLIP_FILES: Final = ".npz"


@dataclass(frozen=True)
class SilenceReport:
    """Ten seconds of room noise, white at -50 dBFS, without idle life.

    Attributes:
        lip_gap: Mean distance of the inner lips as a share of the face's height; landmarks see some on closed lips.
        tremble: Range of that gap over the time, as a share of the face's height.
        flicker_levels: See `flicker`.
    """

    lip_gap: float
    tremble: float
    flicker_levels: float


@dataclass(frozen=True)
class SpeechReport:
    """Speech, measured on the pictures; the closures where phone times are known.

    Attributes:
        lookahead_ms: The dial.
        closures: How many p, b, m there were.
        closed_share: Share of them with a picture within 60 ms in which the lips' gap, beyond that at rest, is under
            15 % of the open reference.
        vowels_closed_share: The same for vowels without 40 ms at either end; they should not close: lower is better.
        late_frames: By how much the lips' gap is late against the curve that the phones ask for; for each clip where
            that can be told.
        on_time_share: Share of those clips with one frame at most.
        open_reference: 95th percentile of the gap beyond rest, as a share of the face's height.
        flicker_levels: See `flicker`; mean over the clips.
        offset_frames: How late the sync expert finds the lips of each clip; without those under 1.6 s;
            empty without an expert.
        confidence: How sure it is, for each clip.
        in_sync_share: Share of the clips with an offset of one frame at most.
    """

    lookahead_ms: int
    closures: int
    closed_share: float | None
    vowels_closed_share: float | None
    late_frames: list[int]
    on_time_share: float | None
    open_reference: float
    flicker_levels: float
    offset_frames: list[int]
    confidence: list[float]
    in_sync_share: float | None


def load_clips(path: Path) -> list[Clip]:
    """Speech to say: clips with phone times (.npz of `models.training.speech_corpus`) or any sound, without them.

    Raises:
        SoundError: If it is a sound that cannot be read.
    """
    if path.suffix == _CLIP_FILES:
        return read_clips(path)
    from stream.offline import read_sound

    return [Clip((read_sound(path).clip(-1.0, 1.0) * 32767.0).astype(np.int16), ())]


def film(system: System, identity: IdentityState, clip: Clip, lookahead_ms: int) -> list[Picture]:
    """All pictures of a clip without idle life: picture f shows media time 40 f ms, whatever the look-ahead."""
    drive = Drive(system, identity, lookahead_ms=lookahead_ms, idle=False)
    sound = samples(clip)
    wanted = len(sound) * FPS // SAMPLE_RATE_HZ
    ahead = np.zeros(SAMPLE_RATE_HZ, np.float32)
    due = drive.push(np.concatenate([sound, ahead]))[:wanted]
    return [to_pixels(drive.draw(frame), identity.canvas) for frame in due]


def samples(clip: Clip) -> NDArray[np.float32]:
    """The clip's sound, -1 to 1."""
    return clip.sound.astype(np.float32) / 32768.0


def flicker(pictures: Sequence[Picture]) -> float:
    """Standard deviation over time of the upper corners, where the background stands still, mean, in levels of 255."""
    size = round(CORNER * pictures[0].shape[0])
    corners = [np.concatenate([picture[:size, :size], picture[:size, -size:]], axis=1) for picture in pictures]
    return round(float(np.stack(corners).astype(np.float32).std(axis=0).mean()), 3)


def measure_silence(system: System, identity: IdentityState, meter: FaceMeter, seconds: float = 10.0) -> SilenceReport:
    """See `SilenceReport`."""
    noise = np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE_HZ)) * 10 ** (NOISE_DBFS / 20)
    pictures = film(system, identity, Clip((noise * 32767.0).astype(np.int16), ()), 40)[LEAD_FRAMES:]
    gap = meter.look(pictures).lip_gap
    return SilenceReport(round(float(gap.mean()), 4), round(float(np.ptp(gap)), 4), flicker(pictures))


def measure_speech(
    system: System,
    identity: IdentityState,
    meter: FaceMeter,
    clips: Sequence[Clip],
    lookahead_ms: int,
    expert: SyncExpert | None = None,
) -> SpeechReport:
    """Let the face say clips (at least one) and watch its lips."""
    still = float(meter.rest.lip_gap[0])
    gaps: list[NDArray[np.float64]] = []
    syncs: list[Sync] = []
    flickers: list[float] = []
    for clip in clips:
        pictures = film(system, identity, clip, lookahead_ms)
        seen = meter.look(pictures)
        gaps.append(seen.lip_gap - still)
        if expert is not None and len(pictures) >= LEAST_FRAMES:
            mouths = mouths_of(pictures, seen.points_px)
            syncs.append(expert.judge(mouths, mel_of(samples(clip), len(pictures))))
        flickers.append(flicker(pictures))
    reference = float(np.percentile(np.concatenate(gaps), 95))
    sounds = [(gap, phone) for gap, clip in zip(gaps, clips, strict=True) for phone in clip.phones]
    seals = [_closed(gap, phone, NEAR_S, reference) for gap, phone in sounds if phone.name in CLOSED]
    vowels = [_closed(gap, phone, -INNER_S, reference) for gap, phone in sounds if phone.name[0] in "aeiou"]
    late = [by for gap, clip in zip(gaps, clips, strict=True) if (by := _late_frames(gap, clip)) is not None]
    offsets = [found.offset_frames for found in syncs]
    return SpeechReport(
        lookahead_ms,
        len(seals),
        _share(seals),
        _share(vowels),
        late,
        _near(late),
        round(reference, 4),
        round(float(np.mean(flickers)), 3),
        offsets,
        [round(found.confidence, 3) for found in syncs],
        _near(offsets),
    )


def _closed(gap: NDArray[np.float64], phone: Phone, margin_s: float, reference: float) -> bool:
    return lowest(gap, phone, margin_s) < CLOSED_SHARE * reference


def _late_frames(gap: NDArray[np.float64], clip: Clip) -> int | None:
    return lag_frames(gap, aperture(curves_of(clip, len(gap))[0])) if clip.phones else None


def _near(offsets_frames: Sequence[int]) -> float | None:
    return _share([abs(offset) <= IN_SYNC_FRAMES for offset in offsets_frames])


def _share(closed: Sequence[bool]) -> float | None:
    return round(float(np.mean(closed)), 3) if closed else None
