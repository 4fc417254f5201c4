"""What the probe says into its microphone: bursts of made-up syllables, or a WAV, with the moments they begin."""

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 48_000
ONSET_LEVEL: Final = 0.01  # -40 dBFS
QUIET_MS: Final = 300  # the server tells an onset only after this much silence
FORMANTS: Final[dict[str, tuple[tuple[float, float, float], float]]] = {
    "a": ((730.0, 1090.0, 2440.0), 1.0),
    "u": ((300.0, 870.0, 2240.0), 0.8),
    "i": ((270.0, 2290.0, 3010.0), 0.7),
    "m": ((250.0, 1100.0, 2200.0), 0.25),
}
"""First three formants in Hz of a man's voice (Peterson and Barney 1952, table II; /m/: its murmur), and loudness."""


@dataclass(frozen=True)
class Clip:
    """A stretch of speech to play in one go.

    Attributes:
        samples: [n] float32 at `RATE_HZ`, -1 to 1.
        onsets_s: Where in it a voice begins after at least `QUIET_MS` of silence (the clip's start counts as silence).
        end_s: Where its last sound ends.
    """

    samples: NDArray[np.float32]
    onsets_s: tuple[float, ...]
    end_s: float


def syllable_clips(count: int, seed: int = 0) -> list[Clip]:
    """`count` different clips of two to five syllables; each begins with an open /a/, so that a mouth must open."""
    rng = np.random.default_rng(seed)
    clips: list[Clip] = []
    for _ in range(count):
        later = rng.choice(["m", "a", "u", "i"], size=int(rng.integers(2, 8)))
        phones = ["a", *(str(p) for p in later)]
        lengths_s = [float(rng.uniform(0.06, 0.09) if p == "m" else rng.uniform(0.10, 0.20)) for p in phones]
        clips.append(find_onsets(_say(phones, lengths_s, pitch_hz=float(rng.uniform(95, 150)))))
    return clips


def wav_clip(path: Path) -> Clip:
    """The whole of a 16-bit PCM WAV file, mixed to mono, at 48 kHz.

    Raises:
        ValueError: If the file is no 16-bit PCM WAV or nothing in it is as loud as -40 dBFS.
    """
    try:
        with wave.open(str(path)) as file:
            rate_hz, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError, OSError) as error:
        raise ValueError(f"got {path} ({error}), want a readable 16-bit PCM WAV file") from None
    if width != 2:
        raise ValueError(f"got {path} with {8 * width} bits a sample, want 16-bit PCM")
    mono = np.frombuffer(raw, dtype="<i2").reshape(-1, channels).mean(axis=1) / 32768
    times = np.arange(int(len(mono) * RATE_HZ / rate_hz)) * (rate_hz / RATE_HZ)
    clip = find_onsets(np.interp(times, np.arange(len(mono)), mono).astype(np.float32))
    if not clip.onsets_s:
        raise ValueError(f"got {path} in which nothing is louder than -40 dBFS, want speech")
    return clip


def find_onsets(samples: NDArray[np.float32]) -> Clip:
    """Mark every sample that is louder than `ONSET_LEVEL` after at least `QUIET_MS` that were not."""
    loud = np.flatnonzero(np.abs(samples) > ONSET_LEVEL)
    if not loud.size:
        return Clip(samples, (), 0.0)
    begins = np.concatenate([[True], np.diff(loud) >= QUIET_MS * RATE_HZ // 1000])
    return Clip(samples, tuple(float(i) / RATE_HZ for i in loud[begins]), float(loud[-1]) / RATE_HZ)


def _say(phones: list[str], lengths_s: list[float], pitch_hz: float) -> NDArray[np.float32]:
    """Harmonics of a falling pitch under the phones' formant envelope, which glides for 30 ms between phones."""
    counts = [int(s * RATE_HZ) for s in lengths_s]
    time_s = np.arange(sum(counts)) / RATE_HZ
    glide = np.hanning(int(0.03 * RATE_HZ))
    glide /= glide.sum()

    def track(values: list[float]) -> NDArray[np.float64]:
        steps = np.repeat(values, counts)
        padded = np.pad(steps, (glide.size // 2, glide.size - 1 - glide.size // 2), mode="edge")
        return np.convolve(padded, glide, mode="valid")

    formants_hz = [track([FORMANTS[p][0][k] for p in phones]) for k in range(3)]
    loudness = track([FORMANTS[p][1] for p in phones])
    f0_hz = pitch_hz * (1 - 0.15 * time_s / time_s[-1] + 0.01 * np.sin(2 * np.pi * 5 * time_s))
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    voice = np.zeros_like(time_s)
    for harmonic in range(1, int(4500 / pitch_hz)):
        at_hz = harmonic * f0_hz
        gain = np.ones_like(time_s)
        for centre_hz, width_hz in zip(formants_hz, (80.0, 100.0, 150.0), strict=True):
            gain *= centre_hz**2 / np.hypot(at_hz**2 - centre_hz**2, at_hz * width_hz)  # two-pole resonance
        voice += gain / harmonic * np.sin(harmonic * phase)  # glottal pulses with lip radiation fall 6 dB an octave
    edge = np.minimum(1.0, np.minimum(time_s / 0.004, (time_s[-1] - time_s) / 0.03))
    voice *= loudness * edge
    return (0.35 * voice / np.abs(voice).max()).astype(np.float32)
