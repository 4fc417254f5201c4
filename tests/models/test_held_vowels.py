import numpy as np

from models.system import SAMPLE_RATE_HZ
from models.training.held_vowels import HeldVowels
from models.training.phones import PAUSE


def level(clip, phone):
    """Root mean square of the middle half of a phone."""
    quarter_s = (phone.end_s - phone.start_s) / 4
    first, last = (int(at_s * SAMPLE_RATE_HZ) for at_s in (phone.start_s + quarter_s, phone.end_s - quarter_s))
    part = clip.sound[first:last]
    return float(np.sqrt(np.mean(np.square(part.astype(np.float64)))))


def test_the_phones_say_where_the_voice_is():
    voice = HeldVowels(seed=1)
    loud, quiet = [], []
    for clip in (voice.say(12) for _ in range(10)):
        assert clip.phones[0].start_s == 0
        assert all(a.end_s == b.start_s for a, b in zip(clip.phones, clip.phones[1:], strict=False))
        assert abs(clip.phones[-1].end_s * SAMPLE_RATE_HZ - len(clip.sound)) < 2
        for phone in clip.phones:
            (quiet if phone.name == PAUSE else loud).append(level(clip, phone))
    assert max(quiet) < 50 < 200 < min(loud)


def test_the_same_seed_says_the_same():
    one, other = HeldVowels(seed=3).say(5), HeldVowels(seed=3).say(5)
    np.testing.assert_array_equal(one.sound, other.sound)
    assert one.phones == other.phones
