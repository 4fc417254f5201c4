import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.onset import OnsetDetector
from tests.stream.fakes import tone


def silence(ms: int):
    return np.zeros(16 * ms, np.float32)


@given(pause_ms=st.integers(300, 900), cuts=st.lists(st.integers(1, 20_000), max_size=8))
def test_a_beginning_after_300_ms_of_silence_is_found_to_the_sample(pause_ms, cuts):
    sound = np.concatenate([silence(500), tone(0.2), silence(pause_ms), tone(0.2)])
    detector = OnsetDetector()
    places = sorted({cut % sound.size for cut in cuts})
    found = [ms for part in np.split(sound, places) for ms in detector.push(part)]
    assert len(found) == 2
    # the sine needs a few samples to rise over the threshold
    assert 500 <= found[0] <= 500.5
    assert 700 + pause_ms <= found[1] <= 700.5 + pause_ms


def test_a_short_pause_is_no_beginning():
    detector = OnsetDetector()
    assert len(detector.push(np.concatenate([silence(400), tone(0.2), silence(250), tone(0.2)]))) == 1


def test_a_loud_room_is_no_voice():
    room = (0.012 * np.random.default_rng(0).normal(size=16 * 12_000)).astype(np.float32)
    detector = OnsetDetector()
    found = [ms for part in np.split(room, 600) for ms in detector.push(part)]
    assert len(found) <= 1  # before the room is known
    detector.push(room[:8000] * 0.9)
    assert len(detector.push(tone(0.1, level=0.4))) == 1
