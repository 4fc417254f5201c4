"""What the lips do: closed and still in silence, open and closed with the sounds of speech."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.meter import FaceMeter, Picture
from models.system import FPS, SAMPLE_RATE_HZ, IdentityState, System
from models.training.phones import Phone
from models.training.speech_clips import Clip
from models.training.speech_score import CLOSED_SHARE, lowest
from models.training.visemes import CLOSED
from stream.compose import to_pixels
from stream.drive import Drive

NEAR_S: Final = 0.06
INNER_S: Final = 0.04
NOISE_DBFS: Final = -50.0
CORNER_PX: Final = 24
LEAD_FRAMES: Final = 5  # the first frames of a drive, before its filters have settled


@dataclass(frozen=True)
class SilenceReport:
    """Ten seconds of room noise, white at -50 dBFS, without idle life.

    Attributes:
        lip_gap: Mean distance of the inner lips as a share of the face's height; landmarks see some on closed lips.
        tremble: Range of that gap over the time, as a share of the face's height.
        flicker_levels: Standard deviation over time of the picture's upper corners, mean, in levels of 255.
    """

    lip_gap: float
    tremble: float
    flicker_levels: float


@dataclass(frozen=True)
class SpeechReport:
    """Speech with known phone times, measured on the pictures.

    Attributes:
        lookahead_ms: The dial.
        closures: How many p, b, m there were.
        closed_share: Share of them with a picture within 60 ms in which the lips' gap, beyond that at rest, is under
            15 % of the open reference.
        vowels_closed_share: The same for vowels without 40 ms at either end; they should not close: lower is better.
        open_reference: 95th percentile of the gap beyond rest, as a share of the face's height.
    """

    lookahead_ms: int
    closures: int
    closed_share: float | None
    vowels_closed_share: float | None
    open_reference: float


def film(system: System, identity: IdentityState, sound: NDArray[np.float32], lookahead_ms: int) -> list[Picture]:
    """All pictures of a sound, [n] at 16 kHz, without idle life: picture f shows media time 40 f ms."""
    drive = Drive(system, identity, lookahead_ms=lookahead_ms, idle=False)
    wanted = len(sound) * FPS // SAMPLE_RATE_HZ
    ahead = np.zeros(SAMPLE_RATE_HZ, np.float32)
    due = drive.push(np.concatenate([sound, ahead]))[:wanted]
    return [to_pixels(drive.draw(frame)) for frame in due]


def measure_silence(system: System, identity: IdentityState, rest: Picture, seconds: float = 10.0) -> SilenceReport:
    """See `SilenceReport`."""
    noise = np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE_HZ))
    sound = (noise * 10 ** (NOISE_DBFS / 20)).astype(np.float32)
    pictures = film(system, identity, sound, 40)[LEAD_FRAMES:]
    gap = FaceMeter(rest).look(pictures).lip_gap
    stack = np.stack(pictures).astype(np.float32)
    corners = np.concatenate([stack[:, :CORNER_PX, :CORNER_PX], stack[:, :CORNER_PX, -CORNER_PX:]], axis=2)
    return SilenceReport(
        round(float(gap.mean()), 4), round(float(np.ptp(gap)), 4), round(float(corners.std(axis=0).mean()), 3)
    )


def measure_speech(
    system: System,
    identity: IdentityState,
    rest: Picture,
    clips: Sequence[Clip],
    lookahead_ms: int,
) -> SpeechReport:
    """Let the face say clips and watch its lips."""
    meter = FaceMeter(rest)
    still = float(meter.look([rest]).lip_gap[0])
    gaps: list[NDArray[np.float64]] = []
    for clip in clips:
        sound = clip.sound.astype(np.float32) / 32768.0
        gaps.append(meter.look(film(system, identity, sound, lookahead_ms)).lip_gap - still)
    reference = float(np.percentile(np.concatenate(gaps), 95))
    sounds = [(gap, phone) for gap, clip in zip(gaps, clips, strict=True) for phone in clip.phones]
    seals = [_closed(gap, phone, NEAR_S, reference) for gap, phone in sounds if phone.name in CLOSED]
    vowels = [_closed(gap, phone, -INNER_S, reference) for gap, phone in sounds if phone.name[0] in "aeiou"]
    return SpeechReport(lookahead_ms, len(seals), _share(seals), _share(vowels), round(reference, 4))


def _closed(gap: NDArray[np.float64], phone: Phone, margin_s: float, reference: float) -> bool:
    return lowest(gap, phone, margin_s) < CLOSED_SHARE * reference


def _share(closed: Sequence[bool]) -> float | None:
    return round(float(np.mean(closed)), 3) if closed else None
