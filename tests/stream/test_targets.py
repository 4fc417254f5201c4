import math

import pytest
import torch

from models.emotion import emotion
from models.errors import EmotionError
from models.rig import INDEX
from stream.targets import MAX_SCHEDULED, ControlTargets, ControlUpdate


def yaw(targets: ControlTargets, pts_ms: float) -> float:
    return float(targets.at(pts_ms)[0][INDEX["headYaw"]])


def test_a_target_is_approached_smoothly_and_nine_tenths_reached_after_80_ms():
    targets = ControlTargets()
    targets.at(0)
    targets.update(ControlUpdate({"headYaw": 10.0}))
    way = [yaw(targets, 40 * frame) for frame in range(1, 10)]
    assert way == sorted(way)
    assert 6.0 < way[0] < 8.0
    assert 8.8 < way[1] < 9.5
    assert way[-1] == pytest.approx(10.0, abs=0.01)


def test_targets_hold_until_they_are_changed():
    targets = ControlTargets()
    targets.update(ControlUpdate({"headYaw": 10.0, "jawOpen": 0.5}))
    targets.at(10_000)
    targets.update(ControlUpdate({"jawOpen": 0.0}))
    values = targets.at(20_000).values
    assert float(values[INDEX["headYaw"]]) == pytest.approx(10.0)
    assert float(values[INDEX["jawOpen"]]) == pytest.approx(0.0)


def test_values_are_clamped_and_unknown_names_ignored():
    targets = ControlTargets()
    targets.update(ControlUpdate({"headYaw": 900.0, "jawOpen": -1.0, "lipGain": 5.0, "wings": 1.0}))
    values, lip_gain, _ = targets.at(10_000)
    assert float(values[INDEX["headYaw"]]) == pytest.approx(20.0)
    assert float(values.sum()) == pytest.approx(20.0)
    assert lip_gain == pytest.approx(2.0)


def test_a_dated_target_waits_for_its_media_time():
    targets = ControlTargets()
    targets.update(ControlUpdate({"headYaw": 10.0}, pts_ms=1000))
    targets.update(ControlUpdate({"headYaw": -10.0}, pts_ms=500))
    assert yaw(targets, 499) == 0.0
    assert yaw(targets, 999) == pytest.approx(-10.0, abs=0.01)
    assert yaw(targets, 2000) == pytest.approx(10.0, abs=0.01)


def test_a_flood_of_dated_targets_is_bounded():
    targets = ControlTargets()
    for index in range(3 * MAX_SCHEDULED):
        targets.update(ControlUpdate({"headYaw": 1.0}, pts_ms=1000.0 + index))
    assert len(targets._scheduled) == MAX_SCHEDULED
    assert math.isclose(yaw(targets, 10_000), 1.0, abs_tol=1e-3)


def test_an_emotion_comes_and_goes_within_300_ms_and_without_a_jump():
    targets = ControlTargets()
    targets.at(0)
    targets.update(ControlUpdate({"emotionIntensity": 0.6}, emotion="happy"))
    want = emotion("happy", 0.6)
    smile = INDEX["mouthSmileLeft"]
    way = [float(targets.at(40 * frame).values[smile]) for frame in range(1, 26)]
    assert way == sorted(way)
    assert 0 < way[0] < 0.3 * float(want[smile])
    assert way[7] == pytest.approx(float(want[smile]), rel=0.1)  # 320 ms
    assert torch.allclose(targets.at(2000).values, want, atol=1e-3)
    targets.update(ControlUpdate({}, emotion="neutral"))
    assert float(targets.at(2320).values.abs().max()) < 0.1 * float(want.max())


def test_an_emotion_is_added_to_the_controls_and_stays_inside_the_limits():
    targets = ControlTargets()
    targets.update(ControlUpdate({"mouthSmileLeft": 0.9, "headYaw": 4.0}, emotion="happy"))
    values = targets.at(10_000).values
    assert float(values[INDEX["mouthSmileLeft"]]) == 1.0
    assert float(values[INDEX["headYaw"]]) == pytest.approx(4.0, abs=0.01)
    assert float(values[INDEX["mouthSmileRight"]]) == pytest.approx(0.55, abs=0.01)


def test_a_dated_emotion_waits_for_its_media_time():
    targets = ControlTargets()
    targets.update(ControlUpdate({}, pts_ms=500, emotion="surprised"))
    assert not targets.at(499).values.any()
    assert float(targets.at(1500).values[INDEX["eyeWideLeft"]]) == pytest.approx(0.7, abs=0.01)


def test_an_unknown_emotion_is_refused_when_it_comes_and_changes_nothing():
    targets = ControlTargets()
    with pytest.raises(EmotionError):
        targets.update(ControlUpdate({"headYaw": 5.0}, pts_ms=500, emotion="hungry"))
    assert not targets.at(10_000).values.any()


def test_speech_intensity_rests_at_one_and_is_clamped():
    targets = ControlTargets()
    assert targets.at(0).speech_intensity == 1.0
    targets.update(ControlUpdate({"speechIntensity": 9.0}))
    assert targets.at(10_000).speech_intensity == pytest.approx(2.0)
