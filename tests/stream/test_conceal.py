import numpy as np
import pytest

from stream.conceal import FADE_SAMPLES, Concealer
from tests.stream.fakes import tone


@pytest.mark.parametrize("hz", [90.0, 150.0, 333.0])
def test_a_voiced_gap_goes_on_with_the_same_pitch_and_fades(hz):
    sound = tone(0.5, hz)
    concealer = Concealer()
    concealer.hear(sound[:4800])
    made = concealer.fill(320)
    gain = 1 - np.arange(320) / FADE_SAMPLES
    assert np.abs(made - gain * sound[4800:5120]).max() < 0.06  # of an amplitude of 0.3


def test_a_long_gap_is_digital_silence_after_60_ms():
    concealer = Concealer()
    concealer.hear(tone(0.1))
    first, rest = concealer.fill(960), concealer.fill(16_000)
    assert np.abs(first).max() > 0.1
    assert not rest.any()


def test_sound_after_a_gap_fades_in_without_a_step():
    sound = tone(0.5, 200.0)
    concealer = Concealer()
    heard = [concealer.hear(sound[:4000]), concealer.fill(320), concealer.hear(sound[4320:])]
    steps = np.abs(np.diff(np.concatenate(heard)))
    assert steps.max() < 3 * np.abs(np.diff(sound)).max()
    assert np.array_equal(heard[2][64:], sound[4384:])


def test_sound_without_gaps_passes_untouched():
    sound = tone(0.3)
    concealer = Concealer()
    assert np.array_equal(np.concatenate([concealer.hear(part) for part in np.split(sound, 15)]), sound)
