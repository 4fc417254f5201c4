"""The bundled weights, on sounds built here: nothing that speaks needs to be installed."""

import numpy as np
import pytest
import torch

from models.audio.log_mel import HOPS_PER_FRAME, LogMel
from models.rig import SPEECH
from models.system import AudioFeatures
from models.training.speech_noise import hum
from models.training.visemes import lip_gap_cm
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


WORDS = (("", 0.4), ("a", 0.25), ("m", 0.15), ("u", 0.25), ("a", 0.3), ("m", 0.15), ("a", 0.3), ("", 0.6))
VOWELS = (frames(0.45, 0.65), frames(1.1, 1.35), frames(1.55, 1.75))
CLOSURES = (frames(0.64, 0.84), frames(1.34, 1.54))  # the sound of the m and a frame on either side
PARTED_CM = 0.3


def gap_cm(controls):
    return lip_gap_cm(np.stack([controls[name] for name in SPEECH], axis=1))


def noise(seconds: float, dbfs: float, seed: int = 5) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(int(16000 * seconds)) * 10 ** (dbfs / 20)).astype(np.float32)


def music(dbfs: float) -> np.ndarray:
    """Six seconds of plucked chords over a drum, two in a second."""
    draw, time_s = np.random.default_rng(1), np.arange(8000) / 16000
    beats = []
    for _ in range(12):
        root_hz = 220 * 2 ** (draw.choice([0, 5, 7, 9]) / 12)
        notes = sum(
            np.sin(2 * np.pi * root_hz * 2 ** (k / 12) * h * time_s) / h**1.3
            for k in (0, 4, 7, 12)
            for h in range(1, 7)
        )
        drum = 3 * draw.standard_normal(8000) * np.exp(-np.arange(8000) / 250)
        beats.append(notes * np.exp(-3 * time_s) * np.minimum(time_s / 0.01, 1) + drum)
    sound = np.concatenate(beats)
    return (sound / np.sqrt(np.square(sound).mean()) * 10 ** (dbfs / 20)).astype(np.float32)


def whispered() -> np.ndarray:
    """The words without a voice: noise through the resonances, and nothing where the m is."""
    hiss, pieces, start = noise(2.4, 0), [], 0
    spectrum, hz = np.fft.rfft(hiss), np.fft.rfftfreq(len(hiss), 1 / 16000)
    for name, seconds in WORDS:
        end = start + int(seconds * 16000)
        piece = np.zeros(end - start)
        if name in ("a", "u"):
            shape = sum(w / (1 + ((hz - f) / 150) ** 2) for f, w in zip(*FORMANTS_HZ[name], strict=True))
            piece = np.fft.irfft(spectrum * shape, len(hiss))[start:end] * np.hanning(end - start) ** 0.3
        pieces.append(piece)
        start = end
    sound = np.concatenate(pieces)
    return (0.03 * sound / np.abs(sound).max()).astype(np.float32)


@pytest.mark.parametrize("dbfs", [-40, -30, -20])
@pytest.mark.parametrize("kind", ["hum", "noise"])
def test_steady_hum_and_noise_of_any_level_leave_every_control_at_exactly_0(net, kind, dbfs):
    loud = hum(np.random.default_rng(7), 96_000) * np.float32(10 ** (dbfs / 20)) if kind == "hum" else noise(6, dbfs)
    assert max(np.abs(values).max() for values in lips(net, loud).values()) == 0.0


@pytest.mark.parametrize("dbfs", [-40, -30, -20])
def test_music_without_a_voice_hardly_opens_the_mouth(net, dbfs):
    apart = gap_cm(lips(net, music(dbfs)))
    assert apart.max() < 0.15  # a vowel reaches 1.0
    assert (apart > 0.02).mean() < 0.02


def test_a_voice_over_hum_moves_the_lips_as_without_it(net):
    voice = spoken(*WORDS)
    alone, over = gap_cm(lips(net, voice)), gap_cm(lips(net, voice + hum(np.random.default_rng(7), len(voice)) * 0.03))
    assert np.corrcoef(alone, over)[0, 1] > 0.9
    assert over[: frames(0, 0.3).stop].max() < 0.02
    assert over[-3:].max() < 0.02


@pytest.mark.parametrize("gain", [6.0, 40.0])
def test_a_clipped_shout_keeps_the_controls_in_range_and_the_closures(net, gain):
    controls = lips(net, np.clip(spoken(*WORDS) * gain, -1, 1).astype(np.float32), 80)
    values = np.stack([controls[name] for name in SPEECH])
    assert values.min() >= 0.0
    assert values.max() <= 1.0
    assert np.abs(np.diff(values, axis=1)).max() < 0.35  # no control jumps from one frame to the next
    apart = gap_cm(controls)
    assert min(apart[vowel].max() for vowel in VOWELS) > PARTED_CM
    assert max(apart[closure].min() for closure in CLOSURES) < 0.15 * apart.max()


def test_a_whisper_at_minus_30_dbfs_moves_the_lips(net):
    apart = gap_cm(lips(net, whispered(), 80))
    assert min(apart[vowel].max() for vowel in VOWELS) > PARTED_CM
    assert apart[:8].max() < 0.02
    assert apart[-3:].max() < 0.02


def test_of_two_voices_at_once_the_mouth_moves_like_either_and_stays_in_range(net):
    one = spoken(*WORDS)
    other = spoken(
        ("", 0.5), ("u", 0.2), ("m", 0.15), ("a", 0.25), ("m", 0.15), ("u", 0.3), ("a", 0.25), ("", 0.6), pitch_hz=200.0
    )
    controls = lips(net, one + other, 80)
    values, apart = np.stack([controls[name] for name in SPEECH]), gap_cm(controls)
    assert values.min() >= 0.0
    assert values.max() <= 1.0
    assert PARTED_CM < apart.max() < 1.5
    assert apart[-3:].max() < 0.02
