"""Training examples for the speech net: windows of speech with its curves, and of everything that is not speech."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.audio.log_mel import HOP_MS, HOPS_PER_FRAME, frame_hops, log_mel
from models.system import FPS, FRAME_MS, SAMPLE_RATE_HZ
from models.training import speech_noise
from models.training.phones import PAUSE, Phone, merged
from models.training.speech_clips import Clip
from models.training.visemes import lip_curves

LOOKAHEADS_MS: Final = (0, 40, 80, 120, 200)
_TAIL_HOPS: Final = 20  # the longest look-ahead
_NO_SPEECH_SHARE: Final = 0.22
_BACKGROUNDS_OF_A_KIND: Final = 10


@dataclass(frozen=True)
class Batch:
    """Examples of F frames.

    Attributes:
        values: Log-mel hops as the net gets them, [B, F, 4, 80].
        lookahead_ms: [B].
        target: `rig.SPEECH` controls, [B, F, 19], 0 to 1.
        speaking: How much somebody speaks, [B, F], 0 to 1.
        sealed: How much the lips are sealed, [B, F], 0 to 1.
    """

    values: Tensor
    lookahead_ms: Tensor
    target: Tensor
    speaking: Tensor
    sealed: Tensor


def frames_of(sound: NDArray[np.float32], frames: int, lookahead_ms: int) -> NDArray[np.float32]:
    """What the net hears of a sound, [frames, 4, 80]: rows before and after the sound are silence."""
    return _frames_of_rows(log_mel(sound), frames, lookahead_ms)


def _frames_of_rows(rows: NDArray[np.float32], frames: int, lookahead_ms: int) -> NDArray[np.float32]:
    first = frame_hops(0, lookahead_ms).start
    padded = np.zeros((frames * HOPS_PER_FRAME, rows.shape[1]), np.float32)
    start, end = max(0, first), min(len(rows), first + len(padded))
    padded[start - first : end - first] = rows[start:end]
    return padded.reshape(frames, HOPS_PER_FRAME, -1)


def curves_of(clip: Clip, frames: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The rule curves of a clip at the frame times: see `lip_curves`."""
    return lip_curves(clip.phones, np.arange(frames) / FPS)


class Examples:
    """Draws batches from the voices of a corpus, each voice equally often up to a weight of its size.

    Args:
        voices: Clips by voice.
        frames: Frames in an example.
        seed: Everything random follows from it.
    """

    def __init__(self, voices: dict[str, list[Clip]], frames: int, seed: int) -> None:
        self._clips = list(voices.values())
        self._frames = frames
        self._draw = np.random.default_rng(seed)
        sizes = np.array([sum(len(clip.sound) for clip in clips) for clips in self._clips], np.float64)
        self._odds = np.sqrt(sizes) / np.sqrt(sizes).sum()
        self._samples = frames * FRAME_MS * SAMPLE_RATE_HZ // 1000 + _TAIL_HOPS * SAMPLE_RATE_HZ // 100
        kinds = speech_noise.BACKGROUNDS * _BACKGROUNDS_OF_A_KIND
        self._backgrounds = [make(self._draw, self._samples) for make in kinds]

    def batch(self, size: int) -> Batch:
        """The next examples, each heard at three look-aheads: `size` rows, a multiple of 3."""
        rows = [row for _ in range(size // 3) for row in self._example()]
        stacked = [torch.from_numpy(np.stack(column)) for column in list(zip(*rows, strict=True))]
        return Batch(*stacked)

    def _example(self) -> list[tuple[NDArray[np.float32], ...]]:
        if self._draw.random() < _NO_SPEECH_SHARE:
            sound, phones = self._no_speech(), []
        else:
            sound, phones = self._speech()
            sound = self._spoil(sound)
        curves = lip_curves(phones, np.arange(self._frames) / FPS)
        rows = log_mel(speech_noise.to_16_bit(sound))
        aheads_ms = [
            *(int(ahead_ms) for ahead_ms in self._draw.choice(LOOKAHEADS_MS, 2, replace=False)),
            int(self._draw.integers(_TAIL_HOPS + 1)) * HOP_MS,
        ]
        return [
            (_frames_of_rows(rows, self._frames, ahead_ms), np.array(ahead_ms, np.float32), *curves)
            for ahead_ms in aheads_ms
        ]

    def _speech(self) -> tuple[NDArray[np.float32], list[Phone]]:
        """One voice at one speed and pitch, clip after clip with gaps, starting anywhere in the first."""
        draw, samples = self._draw, self._samples
        clips = self._clips[int(draw.choice(len(self._clips), p=self._odds))]
        speed = float(draw.uniform(0.85, 1.2))
        sound = np.zeros(samples, np.float32)
        phones: list[Phone] = []
        first = clips[int(draw.integers(len(clips)))]
        at = -int(draw.uniform(0, len(first.sound) / speed)) if draw.random() < 0.6 else int(draw.uniform(0, 16000))
        clip = first
        while at < samples:
            piece = _at_speed(clip.sound, speed)
            at_s = at / SAMPLE_RATE_HZ
            last_s = phones[-1].end_s if phones else at_s
            phones.append(Phone(PAUSE, last_s, at_s + clip.phones[0].start_s / speed))
            phones += [Phone(p.name, at_s + p.start_s / speed, at_s + p.end_s / speed) for p in clip.phones]
            start, end = max(0, at), min(samples, at + len(piece))
            sound[start:end] = piece[start - at : end - at]
            at += len(piece) + int(draw.exponential(0.5) * SAMPLE_RATE_HZ)
            clip = clips[int(draw.integers(len(clips)))]
        return speech_noise.at_level(sound, -20.0), merged(phones)

    def _spoil(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Level, room, microphone, noise and clipping, each sometimes."""
        draw = self._draw
        if draw.random() < 0.25:
            sound = speech_noise.room(draw, sound)
        if draw.random() < 0.4:
            sound = speech_noise.microphone(draw, sound)
        level_db = float(draw.triangular(-30.0, -3.0, 6.0))
        if draw.random() < 0.6:
            sound = sound + self._noise(-20.0 - float(30 * draw.beta(2.5, 1.0)))
        sound = sound * np.float32(10 ** (level_db / 20))
        if draw.random() < 0.06:
            sound = np.clip(sound, -0.1, 0.1) * np.float32(draw.uniform(2, 10))
        return sound

    def _noise(self, dbfs: float) -> NDArray[np.float32]:
        if self._draw.random() < 0.2:
            mixed = sum(self._speech()[0] for _ in range(int(self._draw.integers(3, 6))))
            assert not isinstance(mixed, int)
            return speech_noise.at_level(mixed, min(dbfs, -30.0))
        return self._background() * np.float32(10 ** (dbfs / 20))

    def _background(self) -> NDArray[np.float32]:
        """One of the backgrounds made at the start, from another point on."""
        background = self._backgrounds[int(self._draw.integers(len(self._backgrounds)))]
        return np.roll(background, int(self._draw.integers(len(background))))

    def _no_speech(self) -> NDArray[np.float32]:
        """Digital silence, or background at any level, sometimes two at once and not from the start."""
        draw = self._draw
        sound = np.zeros(self._samples, np.float32)
        for _ in range(int(draw.integers(0, 3))):
            noise = self._background() * np.float32(10 ** (draw.uniform(-85, -12) / 20))
            if draw.random() < 0.3:
                noise[: int(draw.integers(self._samples))] = 0.0
            sound += noise
        return sound


def _at_speed(sound: NDArray[np.int16], speed: float) -> NDArray[np.float32]:
    """Faster and higher (speed over 1) or slower and lower, as a tape would play it, -1 to 1."""
    wanted = np.arange(int(len(sound) / speed)) * speed
    return np.interp(wanted, np.arange(len(sound)), sound.astype(np.float32) / 32768.0).astype(np.float32)
