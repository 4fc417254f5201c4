import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.audio.log_mel import DECADES_PER_UNIT, FLOOR_POWER, LogMel, frame_hops, log_mel


def noise(samples: int, seed: int = 0, level: float = 0.1):
    return (np.random.default_rng(seed).standard_normal(samples) * level).astype(np.float32)


@given(chunks=st.lists(st.integers(0, 900), min_size=1, max_size=12))
def test_any_chunking_equals_offline(chunks):
    sound = noise(sum(chunks))
    stream = LogMel()
    rows = [stream.push(piece) for piece in np.split(sound, np.cumsum(chunks)[:-1])]
    np.testing.assert_allclose(np.concatenate(rows), log_mel(sound), atol=1e-5)
    assert len(log_mel(sound)) == len(sound) // 160


def test_digital_silence_is_exactly_zero_and_reset_forgets():
    stream = LogMel()
    stream.push(noise(1000))
    stream.reset()
    assert not stream.push(np.zeros(640, np.float32)).any()


def test_a_hop_ends_where_it_says():
    sound = np.zeros(3200, np.float32)
    sound[160 * 7 : 160 * 8] = noise(160)  # the samples that end hop 7
    loud = np.flatnonzero(log_mel(sound).any(axis=1))
    assert loud[0] == 7
    assert loud[-1] == 9  # 400 samples of window reach back over two and a half hops


@pytest.mark.parametrize("hz", [120.0, 1000.0, 5000.0])
def test_a_full_scale_sine_peaks_near_zero_decibel_in_the_band_of_its_pitch(hz):
    row = log_mel(np.sin(2 * np.pi * hz * np.arange(8000) / 16000).astype(np.float32))[-1]
    mel = 2595 * np.log10(1 + np.array([50.0, hz, 7600.0]) / 700)
    band = (mel[1] - mel[0]) / (mel[2] - mel[0]) * 81 - 1
    assert abs(row.argmax() - band) <= 1
    decibel = 10 * (row.max() * DECADES_PER_UNIT + np.log10(FLOOR_POWER))
    assert -3.5 < decibel < 6


def test_gain_shifts_every_band_by_the_same_amount():
    sound = noise(8000)
    louder = log_mel(sound * 10)[3:] - log_mel(sound)[3:]
    np.testing.assert_allclose(louder, 2 / DECADES_PER_UNIT, atol=1e-4)


def test_frame_hops_end_at_the_look_ahead():
    assert list(frame_hops(0, 0)) == [-4, -3, -2, -1]
    assert list(frame_hops(10, 40)) == [40, 41, 42, 43]  # hop 43 ends at 440 ms = 10 * 40 + 40
    assert list(frame_hops(10, 49)) == [40, 41, 42, 43]
