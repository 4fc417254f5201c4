import math

import pytest

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
    values, _ = targets.at(20_000)
    assert float(values[INDEX["headYaw"]]) == pytest.approx(10.0)
    assert float(values[INDEX["jawOpen"]]) == pytest.approx(0.0)


def test_values_are_clamped_and_unknown_names_ignored():
    targets = ControlTargets()
    targets.update(ControlUpdate({"headYaw": 900.0, "jawOpen": -1.0, "lipGain": 5.0, "wings": 1.0}))
    values, lip_gain = targets.at(10_000)
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
