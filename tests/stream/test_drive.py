import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.audio import KaldiFbank128, LwsMel80, Mfcc12, Wav2LipMel80, log_mel
from models.emotion import emotion
from models.idle import IdleLife
from models.rig import INDEX
from stream.drive import Drive
from stream.errors import FrontEndError
from stream.targets import ControlUpdate
from tests.stream.fakes import Loudness, identity, tone

SOUND = np.concatenate([np.zeros(8000, np.float32), tone(0.6), np.zeros(9600, np.float32)])


def drawn(drive: Drive, parts: list[np.ndarray]) -> tuple[list[int], torch.Tensor]:
    due = [frame for part in parts for frame in drive.push(part)]
    return [one.frame for one in due], torch.cat([drive.draw(one)[:, :, 0, 0] for one in due])


@settings(max_examples=25)
@given(
    cuts=st.lists(st.integers(0, SOUND.size), max_size=30),
    lookahead_ms=st.sampled_from([0, 40, 200]),
    seed=st.integers(0, 3),
)
def test_any_chunking_draws_the_same_frames(cuts, lookahead_ms, seed):
    def fresh() -> Drive:
        return Drive(Loudness(), identity(0.5), lookahead_ms=lookahead_ms, seed=seed)

    numbers, frames = drawn(fresh(), [SOUND])
    cut_numbers, cut_frames = drawn(fresh(), np.split(SOUND, sorted(cuts)))
    assert numbers == cut_numbers == list(range(len(numbers)))
    assert len(numbers) == (1700 - lookahead_ms) // 40 + 1
    torch.testing.assert_close(cut_frames, frames)


def test_a_frame_hears_the_four_hops_that_end_at_its_look_ahead():
    hops = log_mel(SOUND)
    for due in Drive(Loudness(), identity(0.5), lookahead_ms=120).push(SOUND):
        end = 4 * due.frame + 12
        np.testing.assert_allclose(due.features.values[0], hops[end - 4 : end], atol=1e-5)
        assert due.features.lookahead_ms.tolist() == [120.0]


@pytest.mark.parametrize(
    ("name", "make", "lookahead_ms"),
    [
        ("mfcc12", Mfcc12, 135),
        ("lws_mel80", LwsMel80, 120),
        ("lws_mel80", LwsMel80, 0),
        ("wav2lip_mel80", Wav2LipMel80, 133),
        ("kaldi_fbank128", KaldiFbank128, 0),
    ],
)
def test_a_published_front_end_hears_in_the_stream_what_it_hears_offline(name, make, lookahead_ms):
    drive = Drive(Loudness(front_end=name, lookahead_ms=(lookahead_ms,)), identity(0.5), idle=False)
    due = [frame for packet in np.split(SOUND, range(333, SOUND.size, 333)) for frame in drive.push(packet)]
    offline = make().frames(torch.from_numpy(SOUND)[None], range(len(due)), lookahead_ms)[0]
    assert len(due) > 30
    torch.testing.assert_close(torch.cat([frame.features.values for frame in due]), offline, atol=1e-5, rtol=0)
    assert drive.draw(due[0]).shape == (1, 3, 64, 64)


def test_without_look_ahead_the_first_frame_hears_nothing():
    first = Drive(Loudness(), identity(0.5), lookahead_ms=0).push(np.zeros(0, np.float32))
    assert [due.frame for due in first] == [0]
    assert first[0].features.values.shape == (1, 4, 80)
    assert not first[0].features.values.any()


def test_the_mouth_is_shut_in_silence_open_in_speech_and_shut_again():
    gains = {d.pts_ms: float(d.controls.lip_gain) for d in Drive(Loudness(), identity(0.5)).push(SOUND)}
    assert all(gain == 0.0 for ms, gain in gains.items() if ms < 500 - 40)
    assert all(gain == 1.0 for ms, gain in gains.items() if 480 <= ms <= 1100)
    assert all(gain == 0.0 for ms, gain in gains.items() if ms >= 1300)


def test_controls_and_idle_life_add_up_within_their_limits():
    drive = Drive(Loudness(), identity(0.5), seed=7)
    drive.targets.update(ControlUpdate({"headYaw": 19.9, "mouthSmileLeft": 0.5, "lipGain": 2.0}))
    due = drive.push(SOUND)[-1]
    life = IdleLife(7).controls(due.pts_ms, 0.0)
    want = min(20.0, 19.9 + float(life[INDEX["headYaw"]]))
    assert float(due.controls.values[0, INDEX["headYaw"]]) == pytest.approx(want, abs=0.3)
    assert float(due.controls.values[0, INDEX["mouthSmileLeft"]]) == pytest.approx(0.5, abs=0.05)
    assert float(due.controls.values[0, INDEX["headYaw"]]) <= 20.0


@pytest.mark.parametrize(
    ("intensity", "gain", "lips"), [(0.0, 1.0, 0.5), (1.0, 1.0, 1.0), (2.0, 1.0, 1.5), (2.0, 2.0, 2.0)]
)
def test_speech_intensity_moves_the_lips_in_speech_and_nothing_in_silence(intensity, gain, lips):
    drive = Drive(Loudness(), identity(0.5))
    drive.targets.update(ControlUpdate({"speechIntensity": intensity, "lipGain": gain}))
    gains = {due.pts_ms: float(due.controls.lip_gain) for due in drive.push(SOUND)}
    assert gains[1000] == pytest.approx(lips, abs=1e-3)
    assert gains[200] == 0.0


def test_the_head_nods_more_in_lively_speech_and_not_at_all_in_a_mumble():
    def sway(intensity: float) -> torch.Tensor:
        drive = Drive(Loudness(), identity(0.5), seed=3)
        drive.targets.update(ControlUpdate({"speechIntensity": intensity}))
        return torch.cat([due.controls.values for due in drive.push(SOUND)])[20:28, INDEX["headYaw"]]

    still = torch.stack([IdleLife(3).controls(40 * f, 0.0)[INDEX["headYaw"]] for f in range(20, 28)])
    torch.testing.assert_close(sway(0.0), still, atol=1e-3, rtol=0)
    torch.testing.assert_close(sway(2.0) - still, 2 * (sway(1.0) - still), atol=1e-3, rtol=0)
    assert float((sway(1.0) - still).abs().max()) > 0.05


def test_an_emotion_reaches_the_face_with_the_voice():
    drive = Drive(Loudness(), identity(0.5), idle=False)
    drive.targets.update(ControlUpdate({}, emotion="happy"))
    last = drive.push(SOUND)[-1]
    torch.testing.assert_close(last.controls.values[0], emotion("happy"), atol=1e-3, rtol=0)


def test_without_idle_life_and_controls_the_person_is_at_rest():
    due = Drive(Loudness(), identity(0.5), idle=False).push(SOUND)
    assert not torch.cat([one.controls.values for one in due]).any()


def test_turning_the_dial_keeps_every_frame_and_the_right_hops():
    hops = log_mel(SOUND)
    drive = Drive(Loudness(), identity(0.5), lookahead_ms=200)
    due = drive.push(SOUND[:16_000])
    drive.lookahead_ms = 43
    due += drive.push(SOUND[16_000:16_160])
    drive.lookahead_ms = 120
    due += drive.push(SOUND[16_160:])
    assert drive.lookahead_ms == 120
    assert [one.frame for one in due] == list(range(len(due)))
    for one in due:
        end = 4 * one.frame + int(one.features.lookahead_ms[0]) // 10
        np.testing.assert_allclose(one.features.values[0], hops[end - 4 : end], atol=1e-5)


def test_another_identity_shows_from_the_next_frame_on():
    drive = Drive(Loudness(), identity(0.25))
    first, second, *_ = drive.push(SOUND)
    green = [float(drive.draw(first)[0, 1, 0, 0])]
    drive.identity = identity(0.75)
    green.append(float(drive.draw(second)[0, 1, 0, 0]))
    assert green == [-0.5, 0.5]


def test_a_system_with_an_unknown_front_end_is_refused():
    with pytest.raises(FrontEndError, match="front end 'mfcc', want one of: log_mel80"):
        Drive(Loudness(front_end="mfcc"), identity(0.5))
