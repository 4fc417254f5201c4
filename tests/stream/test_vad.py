import itertools

import numpy as np
import pytest
import webrtcvad

from stream.vad import SHARPNESS, MouthGate
from tests.stream.fakes import tone

RATE = 16_000


def noise(seconds: float, level_db: float, seed: int = 0):
    return (np.random.default_rng(seed).normal(size=round(seconds * RATE)) * 10 ** (level_db / 20)).astype(np.float32)


def buzz(seconds: float, level: float = 0.1):
    """Something like a vowel: harmonics of 120 Hz."""
    return sum(tone(seconds, 120.0 * k, level=level / k) for k in range(1, 12))


def test_the_mouth_may_open_with_the_first_10_ms_of_a_voice():
    gate = MouthGate()
    gate.push(noise(2.0, -60))
    assert gate.gain(2000) == 0.0
    gate.push(buzz(0.01))
    assert gate.gain(2000) == 1.0


def test_a_sound_that_the_voice_detector_denies_opens_it_all_the_same():
    thump = tone(0.02, 60.0, level=0.2)
    detector = webrtcvad.Vad(SHARPNESS)
    for _ in range(100):
        detector.is_speech(bytes(320), RATE)
    assert not detector.is_speech((thump[:160] * 32767).astype(np.int16).tobytes(), RATE)
    gate = MouthGate()
    gate.push(np.zeros(RATE, np.float32))
    gate.push(thump[:160])
    assert gate.gain(1000) == 1.0


def test_a_quiet_voice_opens_it_too():
    gate = MouthGate()
    gate.push(noise(2.0, -65))
    gate.push(buzz(0.05, level=0.008))  # about -44 dB
    assert gate.gain(2040) == 1.0


@pytest.mark.parametrize("room_db", [-200, -60, -50])
def test_silence_shuts_it_within_200_ms_without_a_jump(room_db):
    gate = MouthGate()
    gate.push(noise(3.0, room_db))
    gate.push(buzz(1.0) + noise(1.0, room_db, 1))
    gains = []
    for frame in range(100, 115):
        gate.push(noise(0.04, room_db, frame))
        gains.append(gate.gain(40 * frame))
    assert gains[0] == 1.0
    assert gains[5:] == [0.0] * 10  # frames at 200 ms and later
    assert max(a - b for a, b in itertools.pairwise(gains)) <= 0.51


def test_ten_seconds_of_room_noise_keep_it_shut():
    gate = MouthGate()
    gate.push(noise(1.0, -50))
    gains = []
    for frame in range(25, 275):
        gate.push(noise(0.04, -50, frame))
        gains.append(gate.gain(40 * frame))
    assert max(gains) == 0.0


def test_a_breath_of_noise_after_digital_silence_keeps_it_shut():
    gate = MouthGate()
    gate.push(np.zeros(2 * RATE, np.float32))
    gate.push(noise(0.2, -60))
    assert gate.gain(2160) == 0.0


def test_a_vowel_held_for_five_seconds_stays_open():
    gate = MouthGate()
    gate.push(noise(1.0, -60))
    gate.push(buzz(5.0))
    assert gate.gain(6000) == 1.0


def test_after_an_interruption_it_stays_shut_until_the_voice_begins_anew():
    gate = MouthGate()
    gate.push(buzz(1.0))
    gate.interrupt()
    gate.push(buzz(0.5))
    assert gate.gain(1500) == 0.0
    gate.push(np.zeros(RATE // 2, np.float32))
    gate.push(buzz(0.1))
    assert gate.gain(2100) == 1.0


def test_any_chunking_hears_the_same():
    sound = np.concatenate([noise(0.5, -55), buzz(0.31), noise(0.7, -55, 1)])
    whole, cut = MouthGate(), MouthGate()
    whole.push(sound)
    for part in np.array_split(sound, 101):
        cut.push(part)
    assert [whole.gain(ms) for ms in range(0, 1600, 10)] == [cut.gain(ms) for ms in range(0, 1600, 10)]
