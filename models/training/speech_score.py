"""How well the speech net moves lips: correlation, lip closure, rounding and rest, measured on held-out voices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.rig import SPEECH
from models.system import FPS, FRAME_MS, SAMPLE_RATE_HZ
from models.training import speech_noise
from models.training.phones import Phone
from models.training.speech_clips import Clip
from models.training.speech_examples import curves_of, frames_of
from models.training.visemes import CLOSED
from models.visavis.speech import SpeechNet

_COLUMN: Final[Mapping[str, int]] = {name: i for i, name in enumerate(SPEECH)}
CLOSED_SHARE: Final = 0.15
"""Lips count as closed below this share of the open reference."""


@dataclass(frozen=True)
class Score:
    """Numbers of one voice at one look-ahead.

    Attributes:
        jaw_correlation: Of jawOpen with the rule curve over all frames.
        aperture_correlation: Of jawOpen - mouthClose + lowered lower lip with the rule's.
        pucker_correlation: Of mouthPucker with the rule curve.
        closed_share: Share of p, b, m with a frame of closed lips within 60 ms of the sound.
        false_closed_share: The same for vowels, which should not close: lower is better.
        open_reference: 95th percentile of the rule's aperture.
        round_ratio: Mean mouthPucker + mouthFunnel of uw, w and ow over that of aa, ae, eh and iy.
    """

    jaw_correlation: float
    aperture_correlation: float
    pucker_correlation: float
    closed_share: float
    false_closed_share: float
    open_reference: float
    round_ratio: float


def run(net: SpeechNet, sound: NDArray[np.float32], lookahead_ms: int) -> NDArray[np.float32]:
    """Controls for a whole sound, [n] to [n // 640, 19]."""
    frames = len(sound) * 1000 // SAMPLE_RATE_HZ // FRAME_MS
    values = torch.from_numpy(frames_of(sound, frames, lookahead_ms))[None]
    with torch.no_grad():
        controls, _ = net(values, torch.tensor([float(lookahead_ms)]))
    return controls[0].numpy()


def aperture(controls: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far the lips are apart, in jawOpen units, [F, 19] to [F]: a proxy, not geometry."""
    weights = np.zeros(len(SPEECH), np.float32)
    weights[_COLUMN["jawOpen"]], weights[_COLUMN["mouthClose"]] = 1.0, -1.0
    weights[_COLUMN["mouthLowerDownLeft"]] = weights[_COLUMN["mouthLowerDownRight"]] = 0.125
    return (controls @ weights).astype(np.float32)


def score(net: SpeechNet, clips: Sequence[Clip], lookahead_ms: int, gain_db: float = 0.0) -> Score:
    """Run the net over clips and compare with the rule curves."""
    predicted: list[NDArray[np.float32]] = []
    wanted: list[NDArray[np.float32]] = []
    for clip in clips:
        sound = clip.sound.astype(np.float32) / 32768.0 * np.float32(10 ** (gain_db / 20))
        predicted.append(run(net, sound, lookahead_ms))
        wanted.append(curves_of(clip, len(predicted[-1]))[0])
    got, want = np.concatenate(predicted), np.concatenate(wanted)
    reference = float(np.percentile(aperture(want), 95))
    apart = [aperture(rows) for rows in predicted]
    closed = [
        float(lowest(apart[i], p, 0.06) < CLOSED_SHARE * reference) for i, p in _sounds(clips) if p.name in CLOSED
    ]
    vowels = [
        float(lowest(apart[i], p, 0.0) < CLOSED_SHARE * reference) for i, p in _sounds(clips) if p.name[0] in "aeiou"
    ]
    rounding = [rows[:, [_COLUMN["mouthPucker"], _COLUMN["mouthFunnel"]]].sum(axis=1) for rows in predicted]
    rounded = [_middle(rounding[i], p) for i, p in _sounds(clips) if p.name in ("uw", "w", "ow")]
    spread = [_middle(rounding[i], p) for i, p in _sounds(clips) if p.name in ("aa", "ae", "eh", "iy")]
    return Score(
        _correlation(got[:, _COLUMN["jawOpen"]], want[:, _COLUMN["jawOpen"]]),
        _correlation(aperture(got), aperture(want)),
        _correlation(got[:, _COLUMN["mouthPucker"]], want[:, _COLUMN["mouthPucker"]]),
        float(np.mean(closed)),
        float(np.mean(vowels)),
        reference,
        float(np.mean(rounded) / (np.mean(spread) + 1e-6)),
    )


def rest_range(net: SpeechNet, lookahead_ms: int, seconds: int = 10) -> dict[str, float]:
    """Largest control value over some seconds of what is not speech, by kind of background."""
    samples = seconds * SAMPLE_RATE_HZ
    draw = np.random.default_rng(7)
    sounds = {
        "digital silence": np.zeros(samples, np.float32),
        "white noise -50 dBFS": speech_noise.white(draw, samples) * np.float32(10 ** (-50 / 20)),
        "pink noise -50 dBFS": speech_noise.coloured(draw, samples, 1.0) * np.float32(10 ** (-50 / 20)),
        "pink noise -35 dBFS": speech_noise.coloured(draw, samples, 1.0) * np.float32(10 ** (-35 / 20)),
        "hum -30 dBFS": speech_noise.hum(draw, samples) * np.float32(10 ** (-30 / 20)),
        "tones -30 dBFS": speech_noise.tones(draw, samples) * np.float32(10 ** (-30 / 20)),
    }
    return {name: float(run(net, sound, lookahead_ms).max()) for name, sound in sounds.items()}


def _sounds(clips: Sequence[Clip]) -> list[tuple[int, Phone]]:
    return [(i, phone) for i, clip in enumerate(clips) for phone in clip.phones]


def _span(phone: Phone, margin_s: float, frames: int) -> tuple[int, int]:
    """First frame and one past the last whose time lies in the phone; at least one."""
    first = min(frames - 1, max(0, int(np.ceil((phone.start_s - margin_s) * FPS))))
    return first, max(first + 1, min(frames, int((phone.end_s + margin_s) * FPS) + 1))


def lowest(rows: NDArray[np.floating], phone: Phone, margin_s: float) -> float:
    """The least value, one a frame, [F], while a phone sounds and `margin_s` before and after it."""
    first, end = _span(phone, margin_s, len(rows))
    return float(rows[first:end].min())


def _middle(rows: NDArray[np.float32], phone: Phone) -> float:
    return float(rows[min(len(rows) - 1, round((phone.start_s + phone.end_s) / 2 * FPS))])


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 1e-6 and b.std() > 1e-6 else 0.0
