"""`render`: a film whose pictures and sound are those of a live session."""

import wave
from dataclasses import replace

import av
import numpy as np
import pytest
import torch

from models.canvas import Canvas
from models.emotion import emotion
from models.system import IdentityState
from stream.config import RenderConfig, parse_emotion
from stream.errors import SoundError
from stream.offline import read_sound, render
from tests.stream.fakes import tone
from tests.stream.http_fakes import TintSystem


@pytest.fixture
def identity():
    return IdentityState("tint", 1, {"tint": torch.zeros(3)})


def write_wav(path, sound, rate=16_000, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.repeat(sound, channels) * 32767).astype("<i2").tobytes())
    return path


def config(tmp_path, sound, **options):
    (tmp_path / "photo.png").touch()
    return RenderConfig(photo=tmp_path / "photo.png", audio=sound, out=tmp_path / "film.mp4", **options)


def pictures(film):
    with av.open(film) as container:
        return np.stack([frame.to_ndarray(format="rgb24").mean((0, 1)) for frame in container.decode(video=0)])


def sound_of(film):
    with av.open(film) as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        return np.concatenate(frames)


def test_the_film_has_25_frames_a_second_for_the_whole_sound(tmp_path, identity):
    wav = write_wav(tmp_path / "in.wav", tone(1.31))
    told = []
    result = render(config(tmp_path, wav), TintSystem(), identity, lambda done, total: told.append((done, total)))
    assert (result.frames, result.video_codec) == (33, "h264")
    assert result.seconds == pytest.approx(1.31, abs=0.002)
    with av.open(tmp_path / "film.mp4") as film:
        picture, voice = film.streams.video[0], film.streams.audio[0]
        assert (picture.average_rate, picture.frames, picture.width, picture.height) == (25, 33, 64, 64)
        assert (picture.codec_context.name, voice.codec_context.name) == ("h264", "aac")
        assert (picture.start_time or 0, max(voice.start_time, 0)) == (0, 0)
        assert film.duration / av.time_base == pytest.approx(1.32, abs=0.04)
    assert told[-1] == (33, 33)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (48_000, 1)])
def test_the_face_moves_when_the_voice_is_heard(tmp_path, identity, rate, channels):
    quiet = np.zeros(rate * 8 // 10, np.float32)
    wav = write_wav(tmp_path / "in.wav", np.concatenate([quiet, tone(0.8, rate=rate)]), rate, channels)
    render(config(tmp_path, wav, idle=False, lookahead_ms=0), TintSystem(), identity)
    brightness = pictures(tmp_path / "film.mp4").mean(1)
    assert brightness.size == 40
    lit = np.flatnonzero(brightness > brightness[:15].mean() + 3)
    assert abs(lit[0] - 20) <= 1
    heard = sound_of(tmp_path / "film.mp4")
    onset_s = np.flatnonzero(np.abs(heard) > 0.05)[0] / 48_000
    assert onset_s == pytest.approx(0.8, abs=0.03)
    assert np.abs(heard).max() == pytest.approx(0.3, abs=0.05)


def test_a_film_in_framing_photo_shows_the_photo_around_the_frame(tmp_path, identity):
    rgb = torch.zeros(3, 120, 150, dtype=torch.uint8)
    rgb[0] = 200
    wav = write_wav(tmp_path / "in.wav", tone(0.2))
    render(config(tmp_path, wav), TintSystem(), replace(identity, canvas=Canvas(rgb, (40, 20))))
    with av.open(tmp_path / "film.mp4") as film:
        shown = next(film.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert shown.shape == (120, 150, 3)
    assert np.abs(shown[60, 10] - [200, 0, 0]).max() < 12
    assert np.abs(shown[52, 72] - 128).max() < 40  # grey, brighter with the voice


def test_the_sound_of_a_film_serves_as_well(tmp_path, identity):
    render(config(tmp_path, write_wav(tmp_path / "in.wav", tone(0.6))), TintSystem(), identity)
    first = (tmp_path / "film.mp4").rename(tmp_path / "first.mp4")
    assert render(config(tmp_path, first), TintSystem(), identity).frames == pytest.approx(15, abs=2)


def test_the_same_seed_gives_the_same_film(tmp_path, identity):
    wav = write_wav(tmp_path / "in.wav", tone(0.4))
    films = []
    for _ in range(2):
        render(config(tmp_path, wav, seed=3), TintSystem(), identity)
        films.append(pictures(tmp_path / "film.mp4"))
    np.testing.assert_array_equal(*films)


@pytest.mark.parametrize("content", [b"", b"this is no sound at all, it is text"], ids=["empty", "text"])
def test_a_file_without_sound_is_refused_and_leaves_no_film(tmp_path, identity, content):
    (tmp_path / "in.wav").write_bytes(content)
    with pytest.raises(SoundError, match=r"in\.wav .*want a sound file"):
        render(config(tmp_path, tmp_path / "in.wav"), TintSystem(), identity)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav", "photo.png"]


def test_a_sound_of_no_length_is_refused(tmp_path, identity):
    with pytest.raises(SoundError, match="empty"):
        render(config(tmp_path, write_wav(tmp_path / "in.wav", np.zeros(0))), TintSystem(), identity)
    assert not (tmp_path / "film.mp4").exists()


def test_pictures_alone_are_no_sound(tmp_path, identity):
    with av.open(tmp_path / "mute.mp4", "w") as film:
        stream = film.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        film.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        film.mux(stream.encode(None))
    with pytest.raises(SoundError, match="no sound in it"):
        render(config(tmp_path, tmp_path / "mute.mp4"), TintSystem(), identity)


class Moods(TintSystem):
    """Draws as `TintSystem` and keeps the controls."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def step(self, identities, features, controls, state):
        self.seen.append(controls)
        return super().step(identities, features, controls, state)


def test_emotion_and_speech_intensity_reach_every_frame(tmp_path, identity):
    wav = write_wav(tmp_path / "in.wav", tone(1.0))
    system = Moods()
    chosen = config(tmp_path, wav, idle=False, emotion=parse_emotion("happy=0.5"), speech_intensity=2.0)
    render(chosen, system, identity)
    torch.testing.assert_close(system.seen[-2].values[0], emotion("happy", 0.5), atol=0.01, rtol=0)
    assert float(system.seen[12].lip_gain) == pytest.approx(1.5, abs=0.01)


def test_a_whole_sound_is_read_at_16_khz(tmp_path):
    seconds = np.arange(24_000) / 48_000
    path = write_wav(tmp_path / "in.wav", 0.5 * np.sin(2 * np.pi * 440 * seconds), rate=48_000)
    sound = read_sound(path)
    assert abs(len(sound) - 8_000) <= 32
    assert np.abs(np.fft.rfft(sound * np.hanning(len(sound)))).argmax() == round(440 * len(sound) / 16_000)
    assert 0.45 < np.abs(sound[1000:7000]).max() < 0.55


def test_a_sound_of_no_length_is_not_read(tmp_path):
    with pytest.raises(SoundError, match="empty"):
        read_sound(write_wav(tmp_path / "in.wav", np.zeros(0)))
