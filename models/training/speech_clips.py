"""Clips of speech with phone times, and the files that hold them: one `.npz` per voice."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.system import SAMPLE_RATE_HZ
from models.training.phones import PHONE_CODE, PHONES, Phone


@dataclass(frozen=True)
class Clip:
    """One utterance.

    Attributes:
        sound: Mono at 16 kHz, [n], int16.
        phones: What is said and when.
    """

    sound: NDArray[np.int16]
    phones: tuple[Phone, ...]


def write_clips(path: Path, clips: list[Clip]) -> None:
    """Write one voice, whole or not at all."""
    partial = path.with_name(f"{path.stem}.partial")
    phones = [phone for clip in clips for phone in clip.phones]
    with partial.open("wb") as file:
        np.savez(
            file,
            sound=np.concatenate([clip.sound for clip in clips]),
            sound_samples=np.array([len(clip.sound) for clip in clips]),
            phone=np.array([PHONE_CODE[phone.name] for phone in phones], np.uint8),
            span_s=np.array([(phone.start_s, phone.end_s) for phone in phones], np.float32),
            phone_count=np.array([len(clip.phones) for clip in clips]),
        )
    partial.rename(path)


def read_clips(path: Path) -> list[Clip]:
    """Read what `write_clips` wrote."""
    with np.load(path) as file:
        sounds = np.split(file["sound"], np.cumsum(file["sound_samples"])[:-1])
        names = [PHONES[code] for code in file["phone"]]
        spans = file["span_s"].tolist()
        ends = np.cumsum(file["phone_count"]).tolist()
    phones = [Phone(name, start_s, end_s) for name, (start_s, end_s) in zip(names, spans, strict=True)]
    starts = [0, *ends[:-1]]
    return [Clip(sound, tuple(phones[start:end])) for sound, start, end in zip(sounds, starts, ends, strict=True)]


def to_16_khz(sound: NDArray[np.float32], rate_hz: int) -> NDArray[np.int16]:
    """Resample by cutting the spectrum, -1..1 floats to int16; a peak above full scale is brought down."""
    samples = round(len(sound) * SAMPLE_RATE_HZ / rate_hz)
    spectrum = np.fft.rfft(sound)[: samples // 2 + 1]
    resampled = np.fft.irfft(spectrum, samples) * (samples / len(sound))
    return (resampled * (32767.0 / max(1.0, float(np.abs(resampled).max(initial=0.0))))).astype(np.int16)
