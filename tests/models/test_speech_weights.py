"""The bundled weights, on sounds built here: nothing that speaks needs to be installed."""

import numpy as np
import pytest
import torch

from models.audio.log_mel import HOPS_PER_FRAME, LogMel
from models.rig import SPEECH
from models.system import AudioFeatures
from models.visavis.speech import LOOKAHEADS_MS, SpeechNet

FORMANTS_HZ = {  # resonances and how loud each is
    "a": ((730, 1090, 2440), (1.0, 0.6, 0.1)),
    "u": ((300, 750, 2240), (1.0, 0.3, 0.01)),
    "m": ((250, 1100, 2100), (0.5, 0.01, 0.003)),
}
MOUTH_GAP = {"jawOpen": 1.0, "mouthClose": -1.0, "mouthPressLeft": -0.1, "mouthLowerDownLeft": 0.2}


@pytest.fixture(scope="module")
def net():
    return SpeechNet.load()


def spoken(*sounds: tuple[str, float], pitch_hz: float = 120.0) -> np.ndarray:
    """A buzz through the resonances of each sound in turn, [n] at 16 kHz; "" is silence."""
    pieces = []
    start = 0
    for name, seconds in sounds:
        samples = int(seconds * 16000)
        time_s = (start + np.arange(samples)) / 16000
        start += samples
        wave = np.zeros(samples)
        if name:
            resonances, weights = FORMANTS_HZ[name]
            for harmonic in range(1, int(4000 / pitch_hz)):
                hz = harmonic * pitch_hz
                gain = sum(
                    weight / (1 + ((hz - centre) / 70) ** 2) for centre, weight in zip(resonances, weights, strict=True)
                )
                wave += gain * np.sin(2 * np.pi * hz * (time_s + 0.001 * np.sin(2 * np.pi * 5 * time_s)) + harmonic)
            ramp = min(240, samples // 2)
            wave[:ramp] *= np.linspace(0.2, 1, ramp)
            wave[-ramp:] *= np.linspace(1, 0.2, ramp)
        pieces.append(wave)
    sound = np.concatenate(pieces)
    return (0.3 * sound / max(1e-9, np.abs(sound).max())).astype(np.float32)


def lips(net: SpeechNet, sound: np.ndarray, lookahead_ms: int = 40) -> dict[str, np.ndarray]:
    """Every control over the frames of a sound, streamed as the product streams it."""
    rows = LogMel().push(np.concatenate([sound, np.zeros(16 * lookahead_ms, np.float32)]))
    skipped = lookahead_ms // 10 % HOPS_PER_FRAME  # hops before the first whole frame
    rows = rows[skipped:]
    first = lookahead_ms // 40  # frames heard before frame 0 is due
    state, frames = net.init_state(1), []
    for f in range(len(rows) // HOPS_PER_FRAME):
        values = torch.from_numpy(rows[None, f * HOPS_PER_FRAME : (f + 1) * HOPS_PER_FRAME])
        frames.append(net.step(AudioFeatures(values, torch.tensor([float(lookahead_ms)])), state)[0])
    controls = torch.stack(frames[max(0, first - 1) :]).numpy()
    return {name: controls[:, i] for i, name in enumerate(SPEECH)}


def gap(controls: dict[str, np.ndarray]) -> np.ndarray:
    return sum(weight * controls[name] for name, weight in MOUTH_GAP.items())


def frames(start_s: float, end_s: float) -> slice:
    return slice(int(np.ceil(start_s * 25)), int(end_s * 25))


@pytest.mark.parametrize("lookahead_ms", LOOKAHEADS_MS)
def test_silence_moves_nothing_at_all(net, lookahead_ms):
    assert max(np.abs(values).max() for values in lips(net, np.zeros(64000, np.float32), lookahead_ms).values()) == 0.0


@pytest.mark.parametrize("lookahead_ms", LOOKAHEADS_MS)
def test_room_noise_at_minus_50_dbfs_does_not_part_the_lips(net, lookahead_ms):
    noise = (np.random.default_rng(11).standard_normal(160_000) * 10 ** (-50 / 20)).astype(np.float32)
    assert np.abs(gap(lips(net, noise, lookahead_ms))).max() < 0.01


def test_mains_hum_does_not_part_the_lips(net):
    time_s = np.arange(80_000) / 16000
    hum = sum(np.sin(2 * np.pi * 50 * n * time_s) / n for n in (1, 2, 3, 5)) * 10 ** (-35 / 20)
    assert np.abs(gap(lips(net, hum.astype(np.float32)))).max() < 0.01


@pytest.mark.parametrize("pitch_hz", [110.0, 200.0])
def test_a_vowel_opens_and_an_m_closes(net, pitch_hz):
    sound = spoken(
        ("", 0.4), ("a", 0.3), ("m", 0.16), ("a", 0.3), ("m", 0.16), ("a", 0.3), ("", 0.5), pitch_hz=pitch_hz
    )
    apart = gap(lips(net, sound, 80))
    vowels = [apart[frames(start_s, start_s + 0.2)].max() for start_s in (0.45, 0.91, 1.37)]
    nasals = [apart[frames(start_s, start_s + 0.16)].min() for start_s in (0.7, 1.16)]
    assert min(vowels) > 0.1
    assert max(nasals) < 0.3 * min(vowels)
    assert apart[-3:].max() < 0.01  # silence again


def test_rounding_follows_the_vowel_and_not_its_loudness(net):
    def pucker(vowel: str, gain: float) -> float:
        sound = spoken(("", 0.3), ("a", 0.15), (vowel, 0.4), ("a", 0.15), ("", 0.3)) * gain
        return float(lips(net, sound, 120)["mouthPucker"][frames(0.55, 0.8)].mean())

    for gain in (0.3, 1.0):
        assert pucker("u", gain) > 2 * pucker("a", gain)
        assert pucker("u", gain) > 0.12
