"""Portraits that speak: clips for training, drawn by the house model itself."""

from pathlib import Path

import numpy as np
import pytest

from models.registry import load_system
from models.training.clips import Clip
from models.training.phones import Phone
from models.training.prepare_clips import prepare
from models.training.speech_clips import Clip as Sentence
from models.training.speech_clips import write_clips
from models.visavis.enrol import load_photo
from stream.probe_sound import syllable_clips
from stream.spoken import SWING_DEG, Speaker, Swing, reader, sentences, sources, words_of

ADA = Path("models/identities/ada.jpg")


def sentence(seconds: float) -> Sentence:
    """Syllables, then silence."""
    said = np.concatenate([clip.samples for clip in syllable_clips(2)])[::3]
    sound = np.zeros(int(16_000 * seconds), np.int16)
    sound[: said.size] = 32_000 * said[: sound.size]
    return Sentence(sound, (Phone("b", 0.0, 0.1), Phone("aa", 0.1, 0.6), Phone("iy", 0.6, 0.8)))


def test_a_portrait_becomes_a_clip_that_speaks_and_turns(tmp_path):
    photo = load_photo(ADA.read_bytes())
    grey = np.full_like(photo, 128)
    speakers = {
        "ada": Speaker(lambda: photo, "0123456789ab", True, sentence(2.4)),
        "nobody": Speaker(lambda: grey, "ba9876543210", False, sentence(2.4)),
    }
    found = prepare(sources(speakers), reader(load_system(), speakers, 5.0), tmp_path, 128, quiet=True)
    assert found.fates == {"kept": 1, "no face": 1}
    (path,) = tmp_path.glob("*/*.npz")
    clip = Clip.read(path)
    assert (path.parent.name, clip.person, clip.held_out, len(clip)) == ("0123456789ab", "0123456789ab", True, 60)
    assert [word.text for word in clip.words] == ["baa", "iy"]
    assert np.abs(clip.sound - sentence(2.4).sound / 32768).max() < 1e-3
    lips = np.linalg.norm(clip.points_px[:, 13] - clip.points_px[:, 14], axis=1)
    loud = np.abs(clip.sound.reshape(60, -1)).mean(1) > 0.01
    assert lips[loud].max() > 4 * lips[-10:].max()
    assert clip.coefficients[:, 64:67].std(0).max() > np.radians(1.0)  # the head


def test_clips_can_be_cut_short(tmp_path):
    photo = load_photo(ADA.read_bytes())
    speakers = {"ada": Speaker(lambda: photo, "0123456789ab", True, sentence(2.4))}
    prepare(sources(speakers), reader(load_system(), speakers, 1.2), tmp_path, 128, quiet=True)
    (path,) = tmp_path.glob("*/*.npz")
    assert len(Clip.read(path)) == 30


def test_voices_take_turns_and_one_that_lacks_is_told(tmp_path):
    said = {name: sentence(seconds) for name, seconds in (("a", 1.0), ("b", 0.5))}
    for name, one in said.items():
        write_clips(tmp_path / f"train-{name}.npz", [one])
    turns = sentences([tmp_path / "train-a.npz", tmp_path / "train-b.npz"], "train")
    assert [len(next(turns).sound) for _ in range(3)] == [16_000, 8_000, 16_000]
    with pytest.raises(FileNotFoundError, match=r"no eval-\*\.npz"):
        next(sentences([tmp_path / "train-a.npz"], "eval"))


def test_a_head_swings_within_its_bounds_and_one_seed_swings_as_it_did():
    swings = [Swing(3).at(time_s) for time_s in np.arange(0, 60, 0.04)]
    for name, far in SWING_DEG.items():
        angles = np.array([swing[name] for swing in swings])
        assert 0.1 * far < np.abs(angles).max() <= far
        assert np.abs(np.diff(angles)).max() < 1.5  # degrees a frame
    assert Swing(3).at(2.0) == Swing(3).at(2.0) != Swing(4).at(2.0)


def test_words_are_vowels_with_the_consonant_before_them():
    phones = [("pau", 0.0), ("s", 0.1), ("t", 0.2), ("ah", 0.3), ("ao", 0.4), ("pau", 0.5), ("iy", 0.6), ("n", 0.7)]
    words = words_of([Phone(name, start_s, start_s + 0.1) for name, start_s in phones])
    assert [(word.text, round(word.start_s, 1), round(word.end_s, 1)) for word in words] == [
        ("tah", 0.2, 0.4),
        ("ao", 0.4, 0.5),
        ("iy", 0.6, 0.7),
    ]
