"""Reading videos for training: 25 pictures a second whatever the file has, sound from the first picture on."""

import numpy as np
import pytest

from models.training.face_track import RejectedError
from models.training.layouts import Source
from stream.film import read_film
from tests.stream.films import greys, voice, write_film


def source(path, sound=None):
    return Source(path.name, path, sound or path, "00", False)


def read(path, piece=125, sound=None):
    return list(read_film(source(path, sound), piece))


def levels(pieces):
    return np.concatenate([piece.pictures for piece in pieces]).mean((1, 2, 3)).round().astype(int).tolist()


def test_25_a_second_pass_untouched_and_pieces_follow_each_other(tmp_path):
    shown = list(range(40, 100))
    pieces = read(write_film(tmp_path / "a.mkv", greys(shown), sound=voice(2.4)), 25)
    assert levels(pieces) == shown
    assert [(len(p.pictures), p.first_frame, p.retimed) for p in pieces] == [
        (25, 0, False),
        (25, 25, False),
        (10, 50, False),
    ]
    heard = np.concatenate([piece.sound for piece in pieces])
    assert heard.size == 60 * 640
    np.testing.assert_allclose(heard, voice(2.4), atol=1e-3)


def test_50_and_30_a_second_give_the_nearest_pictures(tmp_path):
    fast = write_film(tmp_path / "fast.mkv", greys(range(100)), [i / 50 for i in range(100)], voice(2.0))
    (piece,) = read(fast)
    assert levels([piece]) == list(range(0, 100, 2))
    thirty = write_film(tmp_path / "thirty.mkv", greys(range(60)), [i / 30 for i in range(60)], voice(2.0))
    (piece,) = read(thirty)
    assert levels([piece]) == [round(f * 30 / 25) for f in range(50)]
    assert piece.retimed


def test_an_uneven_rate_is_brought_to_25(tmp_path):
    times = [0.0, 0.03, 0.09, 0.11, 0.16, 0.21, 0.25]
    (piece,) = read(write_film(tmp_path / "a.mkv", greys(range(10, 80, 10)), times, voice(0.4)))
    assert levels([piece]) == [10, 20, 30, 40, 50, 60, 70]
    assert piece.retimed


def test_sound_beside_the_video_is_taken_and_resampled(tmp_path):
    mute = write_film(tmp_path / "mute.mkv", greys(range(50)))
    beside = write_film(tmp_path / "beside.mkv", greys([0]), sound=voice(2.0, 48_000), rate=48_000)
    (piece,) = read(mute, sound=beside)
    off = piece.sound[8000:-200] - voice(2.0)[: piece.sound.size][8000:-200]
    assert np.abs(off).max() < 0.01


def test_pictures_beyond_the_sound_are_left_away(tmp_path):
    (piece,) = read(write_film(tmp_path / "a.mkv", greys(range(50)), sound=voice(1.0)))
    assert (len(piece.pictures), piece.sound.size) == (25, 16_000)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda p: p.write_bytes(b"no film"), "unreadable"),
        (lambda p: write_film(p, greys(range(30))), "no sound"),
        (lambda p: write_film(p, greys(range(30)), sound=np.full(19200, 3e-4, np.float32)), "silent"),
        (lambda p: write_film(p, greys([1, 2, 3]), [0.0, 0.04, 0.4], voice(0.5)), "gaps"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path, make, fault):
    make(tmp_path / "a.mkv")
    with pytest.raises(RejectedError) as rejected:
        read(tmp_path / "a.mkv")
    assert rejected.value.fault == fault
