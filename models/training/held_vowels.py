"""A voice of our own making that holds vowels and hums, as people do who think, sing or test a microphone.

Read speech never holds a vowel for long, and the noises that the speech net learns to ignore (music, hum) do. Without
this voice it takes every quiet held vowel for a hum.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.system import SAMPLE_RATE_HZ
from models.training.phones import PAUSE, Phone, merged
from models.training.speech_clips import Clip

_FORMANTS_HZ: Final[dict[str, tuple[float, float, float]]] = {
    **{"iy": (280, 2250, 2900), "ih": (400, 1950, 2550), "eh": (550, 1800, 2500), "ae": (680, 1700, 2450)},
    **{"aa": (730, 1100, 2450), "ao": (580, 850, 2400), "uh": (440, 1020, 2250), "uw": (300, 800, 2250)},
    **{"ah": (630, 1200, 2400), "er": (480, 1350, 1700), "m": (250, 1100, 2100)},
}
"""Of a man (rounded from Peterson and Barney 1952, table II; /m/: its murmur); other sizes of head scale them."""
_NAMES: Final = (*_FORMANTS_HZ, "m", "uw", PAUSE)
_FORMANT_SHARES: Final = (1.0, 0.4, 0.1)
_LOUDNESS: Final = {"m": 0.3, PAUSE: 0.0}
_GLIDE_S: Final = 0.03  # at either end of a sound
_PEAK: Final = 20_000.0


class HeldVowels:
    """Speaks random vowels, each 80 ms to 1.5 s long."""

    def __init__(self, seed: int) -> None:
        self._draw = np.random.default_rng(seed)

    def say(self, count: int) -> Clip:
        """A clip of `count` sounds or pauses."""
        draw = self._draw
        phones = [Phone(PAUSE, 0.0, float(draw.uniform(0.1, 0.6)))]
        for name in draw.choice(_NAMES, count):
            start_s = phones[-1].end_s
            phones.append(Phone(str(name), start_s, start_s + float(np.clip(draw.lognormal(-1.4, 0.6), 0.08, 1.5))))
        sound = self._sound(phones)
        return Clip((sound * (_PEAK / np.abs(sound).max())).astype(np.int16), tuple(merged(phones)))

    def _sound(self, phones: list[Phone]) -> NDArray[np.float64]:
        """A sum of harmonics under resonances that glide between the sounds."""
        draw = self._draw
        time_s = np.arange(int(phones[-1].end_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        size, pitch_hz = draw.uniform(0.9, 1.2), draw.uniform(85.0, 280.0)
        edges_s = [t for p in phones for t in (p.start_s + _GLIDE_S, max(p.start_s, p.end_s - _GLIDE_S))]
        shapes = np.array([_shape(phone.name) for phone in phones for _ in range(2)])
        *formants_hz, loudness = (np.interp(time_s, np.maximum.accumulate(edges_s), track) for track in shapes.T)
        tremolo = 0.03 * np.sin(2 * np.pi * draw.uniform(3, 6) * time_s)
        f0_hz = pitch_hz * (1.0 + tremolo + 0.1 * np.sin(time_s * draw.uniform(1, 4)))
        phase = 2 * np.pi * np.cumsum(f0_hz) / SAMPLE_RATE_HZ
        voice = 1e-4 * draw.standard_normal(len(time_s))
        for harmonic in range(1, int(4500 / pitch_hz)):
            gain = np.zeros_like(time_s)
            for i, (formant_hz, share) in enumerate(zip(formants_hz, _FORMANT_SHARES, strict=True)):
                gain += share / (1 + np.square((harmonic * f0_hz - size * formant_hz) / (60 + 30 * i)))
            voice += gain * loudness * np.sin(harmonic * phase + draw.uniform(0, 2 * np.pi))
        return voice


def _shape(name: str) -> tuple[float, float, float, float]:
    """Three formants in Hz, and loudness."""
    return (*_FORMANTS_HZ.get(name, (500.0, 1500.0, 2500.0)), _LOUDNESS.get(name, 1.0))
