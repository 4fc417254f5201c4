import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rig import SPEECH
from models.training.phones import PHONES, Phone, divided, from_ipa, merged
from models.training.visemes import CLOSED, lip_curves, lip_gap_cm

PUCKER, JAW = SPEECH.index("mouthPucker"), SPEECH.index("jawOpen")


def said(*names: str, each_s: float = 0.1) -> list[Phone]:
    return [Phone(name, i * each_s, (i + 1) * each_s) for i, name in enumerate(names)]


def times(phones: list[Phone], step_s: float = 0.005) -> np.ndarray:
    return np.arange(0.0, phones[-1].end_s + 0.5, step_s)


@pytest.mark.parametrize("sound", sorted(CLOSED))
def test_lips_are_sealed_when_a_bilabial_starts_and_begin_to_close_before(sound):
    phones = said("pau", "aa", "aa", sound, "aa", "pau")
    curves, _, sealed = lip_curves(phones, times(phones))
    gap, at = lip_gap_cm(curves), np.searchsorted(times(phones), phones[3].start_s)
    assert gap[at] <= 0.0
    assert sealed[at] > 0.99
    assert gap[at - 8] < 0.6 * gap[at - 20]  # 40 ms before the sound against 100 ms before
    assert gap[at - 20] > 0.5


@given(names=st.lists(st.sampled_from(PHONES), min_size=1, max_size=15), each_s=st.floats(0.04, 0.2))
def test_any_speech_stays_in_range_and_rests_exactly_at_zero(names, each_s):
    phones = said("pau", *names, "pau", each_s=each_s)
    curves, speaking, sealed = lip_curves(phones, times(phones))
    assert curves.min() >= 0.0
    assert curves.max() <= 1.0
    assert curves[:, JAW].max() <= 0.35
    assert not curves[speaking == 0.0].any()
    assert not curves[-20:].any()
    assert sealed.max() <= 1.0


def test_nothing_said_is_nothing_moved():
    curves, speaking, sealed = lip_curves([], np.arange(10) / 25)
    assert not curves.any()
    assert not speaking.any()
    assert not sealed.any()


def test_rounding_starts_before_the_sound_and_belongs_to_the_phone():
    phones = said("pau", "t", "t", "uw", "uw", "t", "iy", "iy", "pau")
    curves, _, _ = lip_curves(phones, times(phones))
    time_s = times(phones)
    assert curves[np.searchsorted(time_s, 0.4), PUCKER] > 0.4
    assert curves[np.searchsorted(time_s, 0.25), PUCKER] > 0.08  # 50 ms before uw
    assert curves[np.searchsorted(time_s, 0.7), PUCKER] < 0.05


def test_open_vowels_open_wider_than_hisses_and_short_ones_undershoot():
    def widest(vowel: str, each_s: float) -> float:
        phones = said("pau", "t", vowel, "t", "pau", each_s=each_s)
        return float(lip_curves(phones, times(phones))[0][:, JAW].max())

    assert widest("aa", 0.15) > 0.2 > widest("s", 0.15)
    assert widest("aa", 0.05) < 0.85 * widest("aa", 0.2)


def test_a_short_pause_keeps_the_mouth_in_speech_and_a_long_one_rests():
    for pause_s, rests in ((0.1, False), (0.6, True)):
        phones = [Phone("aa", 0.0, 0.2), Phone("pau", 0.2, 0.2 + pause_s), Phone("aa", 0.2 + pause_s, 0.4 + pause_s)]
        time_s = np.arange(0.2, 0.2 + pause_s, 0.005)
        assert (lip_curves(phones, time_s)[0].max(axis=1) == 0.0).any() == rests


def test_ipa_symbols_become_phones():
    assert from_ipa("aɪ") == ("ay",)
    assert from_ipa("ˈuː") == ("uw",)
    assert from_ipa("iə") == ("iy", "ah")
    assert from_ipa("ˌ") == ()
    assert [phone.name for phone in divided((), 0.0, 1.0)] == ["pau"]


def test_neighbouring_pauses_join_and_empty_phones_go():
    phones = [Phone("pau", 0.0, 0.1), Phone("pau", 0.1, 0.2), Phone("b", 0.2, 0.2), Phone("m", 0.2, 0.3)]
    assert merged(phones) == [Phone("pau", 0.0, 0.2), Phone("m", 0.2, 0.3)]
