"""What happens to a voice on its way to us: rooms, noise, bad microphones. All random, from the generator passed in."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.system import SAMPLE_RATE_HZ

Sound = NDArray[np.float32]
Draw = np.random.Generator


def coloured(draw: Draw, samples: int, slope: float) -> Sound:
    """Noise whose power falls with frequency to the power `slope` (0 white, 1 pink, 2 brown), RMS 1, [samples]."""
    size = 1 << (samples - 1).bit_length()  # a power of two: fast
    spectrum = np.fft.rfft(draw.standard_normal(size, np.float32))
    spectrum *= np.maximum(np.arange(len(spectrum)), 2.0) ** (-slope / 2)
    return _unit(np.fft.irfft(spectrum)[:samples])


def white(draw: Draw, samples: int) -> Sound:
    return coloured(draw, samples, 0.0)


def room_noise(draw: Draw, samples: int) -> Sound:
    """Pink to brown: fans, streets, air."""
    return coloured(draw, samples, draw.uniform(0.5, 2.0))


def hum(draw: Draw, samples: int) -> Sound:
    """Mains hum of 50 or 60 Hz with a random set of harmonics that breathe slowly, the low ones mostly louder."""
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    base_hz, fall = draw.choice([50.0, 60.0]), draw.uniform(0.0, 1.5)
    out = np.zeros(samples)
    for harmonic in draw.choice(np.arange(1, draw.integers(6, 17)), 5, replace=False):
        breath = 1.0 + 0.3 * np.sin(2 * np.pi * draw.uniform(0.1, 2.0) * time_s + draw.uniform(0, 6.28))
        loud = draw.uniform(0, 1) * harmonic**-fall
        out += loud * breath * np.sin(2 * np.pi * base_hz * harmonic * time_s + draw.uniform(0, 6.28))
    return _unit(out)


def tones(draw: Draw, samples: int) -> Sound:
    """Something like music: notes with harmonics and decaying envelopes, several at once."""
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    out = np.zeros(samples)
    for _ in range(int(draw.integers(4, 14))):
        start_s, length_s = draw.uniform(-0.3, time_s[-1]), draw.uniform(0.15, 1.5)
        local = time_s - start_s
        envelope = np.where(local > 0, np.exp(-local / length_s) * np.minimum(local / 0.01, 1.0), 0.0)
        note_hz = 110.0 * 2.0 ** (draw.integers(0, 40) / 12)
        partials = sum(np.sin(2 * np.pi * note_hz * n * local) / n ** draw.uniform(0.8, 2) for n in range(1, 6))
        out += envelope * partials * draw.uniform(0.2, 1.0)
    return _unit(out)


def clicks(draw: Draw, samples: int) -> Sound:
    """Keys and knocks: short decaying bursts a few times a second."""
    out = np.zeros(samples)
    for start in draw.integers(0, max(1, samples - 2000), int(draw.integers(2, 20))):
        length = int(draw.integers(80, 1600))
        burst = draw.standard_normal(length) * np.exp(-np.arange(length) / (length / 5)) * draw.uniform(0.2, 1)
        out[start : start + length] += burst[: samples - start]
    return _unit(out)


BACKGROUNDS: Final[tuple[Callable[[Draw, int], Sound], ...]] = (white, room_noise, room_noise, hum, hum, tones, clicks)


def room(draw: Draw, sound: Sound) -> Sound:
    """A small room: exponentially decaying echoes, reverberation time 0.1 to 0.6 s, direct sound first (no delay)."""
    decay_s = draw.uniform(0.1, 0.6)
    samples = int(decay_s * SAMPLE_RATE_HZ)
    response = draw.standard_normal(samples) * np.exp(-6.9 * np.arange(samples) / samples)
    response[: int(draw.uniform(0.001, 0.01) * SAMPLE_RATE_HZ)] = 0.0
    response *= 10 ** (-draw.uniform(0, 15) / 20) / np.sqrt(np.square(response).sum() + 1e-12)
    response[0] = 1.0
    size = 1 << (len(sound) + samples - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size))
    return wet[: len(sound)].astype(np.float32)


def microphone(draw: Draw, sound: Sound) -> Sound:
    """A tone curve: low cut, tilt, a resonance, and in one of three a band limit down to 3.4 kHz (telephone)."""
    size = 1 << (len(sound) - 1).bit_length()
    hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    decibel = draw.uniform(-6, 6) * np.log2(np.maximum(hz, 60) / 1000) / 3
    decibel += draw.uniform(-6, 6) * np.exp(-np.square(np.log2(np.maximum(hz, 60) / draw.uniform(200, 6000))))
    decibel -= 24 * np.maximum(0.0, np.log2(draw.uniform(40, 250) / np.maximum(hz, 1.0)))
    if draw.random() < 0.33:
        decibel -= 60 * np.maximum(0.0, np.log2(np.maximum(hz, 1.0) / draw.uniform(3400, 7000)))
    shaped = np.fft.irfft(np.fft.rfft(sound, size) * 10 ** (np.maximum(decibel, -80) / 20))
    return shaped[: len(sound)].astype(np.float32)


def at_level(sound: Sound, dbfs: float) -> Sound:
    """The sound scaled so that the RMS of what is not silence lies at `dbfs` (full-scale square wave = 0)."""
    loud = np.abs(sound) > 1e-4
    rms = float(np.sqrt(np.square(sound[loud]).mean())) if loud.any() else 1.0
    return (sound * (10 ** (dbfs / 20) / rms)).astype(np.float32)


def to_16_bit(sound: Sound) -> Sound:
    """What a 16-bit converter leaves: clipped at full scale, rounded to steps of 1 / 32768."""
    return (np.round(np.clip(sound, -1.0, 32767 / 32768) * 32768) / 32768).astype(np.float32)


def _unit(sound: NDArray[np.float64]) -> Sound:
    return (sound / (np.sqrt(np.square(sound).mean()) + 1e-9)).astype(np.float32)
