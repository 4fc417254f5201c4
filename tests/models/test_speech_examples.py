import numpy as np
import pytest
import torch

from models.audio.log_mel import frame_hops, log_mel
from models.rig import SPEECH
from models.training import speech_noise
from models.training.phones import Phone
from models.training.speech_clips import Clip, read_clips, to_16_khz, write_clips
from models.training.speech_examples import Examples, frames_of
from models.training.speech_score import rest_range, run, score
from models.training.train_speech import TrainConfig, train, write_weights
from models.visavis.speech import SpeechNet


def tone(seconds: float, hz: float = 300.0) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * hz * np.arange(int(seconds * 16000)) / 16000)).astype(np.int16)


def clip(seed: int) -> Clip:
    names = ("pau", "b", "aa", "m", "uw", "pau")
    phones = tuple(Phone(name, i * 0.15, (i + 1) * 0.15) for i, name in enumerate(names))
    return Clip(tone(0.9, 200.0 + 40 * seed), phones)


@pytest.fixture
def voices():
    return {"a": [clip(0), clip(1)], "b": [clip(2)]}


def test_clips_come_back_as_written(tmp_path):
    clips = [clip(0), Clip(tone(0.5), (Phone("s", 0.0, 0.5),))]
    write_clips(tmp_path / "voice.npz", clips)
    back = read_clips(tmp_path / "voice.npz")
    for one, other in zip(clips, back, strict=True):
        np.testing.assert_array_equal(one.sound, other.sound)
        assert [phone.name for phone in one.phones] == [phone.name for phone in other.phones]
        np.testing.assert_allclose([p.end_s for p in one.phones], [p.end_s for p in other.phones], atol=1e-6)


def test_resampling_keeps_pitch_and_level():
    time_s = np.arange(22050) / 22050
    sound = to_16_khz((0.5 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32), 22050)
    assert len(sound) == 16000
    assert np.abs(np.fft.rfft(sound)).argmax() == 440
    assert abs(np.abs(sound[4000:12000]).max() / 32767 - 0.5) < 0.01


def test_a_frame_hears_the_four_hops_that_end_at_its_look_ahead():
    sound = speech_noise.white(np.random.default_rng(0), 16000)
    frames, rows = frames_of(sound, 25, 40), log_mel(sound)
    np.testing.assert_array_equal(frames[10], rows[frame_hops(10, 40).start : frame_hops(10, 40).stop])
    assert not frames_of(sound, 25, 0)[0].any()  # before the sound began
    assert not frames_of(sound, 30, 200)[28].any()  # after it ended


def test_batches_repeat_with_their_seed_and_stay_in_range(voices):
    one, two = Examples(voices, 50, seed=5).batch(12), Examples(voices, 50, seed=5).batch(12)
    assert torch.equal(one.values, two.values)
    assert one.values.shape == (12, 50, 4, 80)
    assert one.target.shape == (12, 50, len(SPEECH))
    assert one.values.min() >= 0.0
    assert one.values.max() < 2.5
    assert one.target.min() >= 0.0
    assert one.target.max() <= 1.0
    assert one.lookahead_ms.min() >= 0.0
    assert one.lookahead_ms.max() <= 200.0
    assert not torch.equal(one.values, Examples(voices, 50, seed=6).batch(12).values)


def test_some_examples_are_speech_and_some_are_not(voices):
    batch = Examples(voices, 50, seed=1).batch(90)
    silent = ~batch.speaking.any(dim=1)
    assert 0.05 < silent.float().mean() < 0.5
    assert not batch.target[silent].any()


@pytest.mark.parametrize("make", speech_noise.BACKGROUNDS)
def test_backgrounds_have_unit_level(make):
    sound = make(np.random.default_rng(3), 32000)
    assert len(sound) == 32000
    assert abs(np.sqrt(np.square(sound).mean()) - 1.0) < 0.05


def test_a_room_adds_echoes_without_delaying_the_direct_sound():
    click = np.zeros(8000, np.float32)
    click[1000] = 1.0
    wet = speech_noise.room(np.random.default_rng(0), click)
    assert abs(wet[1000] - 1.0) < 1e-3
    assert np.abs(wet[:1000]).max() < 1e-4
    assert np.abs(wet[1200:]).max() > 1e-3


def test_training_lowers_the_loss_resumes_and_writes_weights_that_load(voices, tmp_path, caplog):
    for name, clips in voices.items():
        write_clips(tmp_path / f"train-{name}.npz", clips)
    config = TrainConfig(tmp_path, tmp_path / "speech.safetensors", minutes=0.02, batch=3, frames=30)
    with caplog.at_level("INFO"):
        train(config)
        first = int(caplog.messages[-1].split()[0])
        net = train(TrainConfig(tmp_path, config.out, minutes=0.03, batch=3, frames=30))
        assert int(caplog.messages[-1].split()[0]) > first
    write_weights(net, config.out)
    loaded = SpeechNet.load(config.out)
    torch.testing.assert_close(loaded.head[0].weight, net.head[0].weight, atol=1e-3, rtol=1e-3)
    assert config.out.stat().st_size < 3_000_000


def test_scores_tell_a_net_that_does_nothing():
    net = SpeechNet().eval()
    torch.nn.init.constant_(net.head[-1].bias, -30.0)  # gate shut: always at rest
    result = score(net, [clip(0)], 40)
    assert result.jaw_correlation == 0.0
    assert result.closed_share == 1.0 == result.false_closed_share
    assert run(net, np.zeros(16000, np.float32), 40).shape == (25, len(SPEECH))
    assert max(rest_range(net, 40, seconds=1).values()) == 0.0
