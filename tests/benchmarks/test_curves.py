"""Curves over time: alike, and late."""

import numpy as np
import pytest

from benchmarks.quality.curves import REACH_FRAMES, correlation, lag_frames


def test_curves_correlate_whatever_their_height_and_not_at_all_if_flat():
    gap = np.array([0.0, 0.1, 0.3, 0.1])
    assert correlation(gap, 2 * gap + 1) == pytest.approx(1.0)
    assert correlation(gap, -gap) == pytest.approx(-1.0)
    assert correlation(gap, np.full(4, 0.2)) is None


@pytest.mark.parametrize("late", [-REACH_FRAMES, -1, 0, 3, REACH_FRAMES])
def test_a_curve_that_comes_later_is_late_by_as_many_frames_whatever_its_height(late):
    wanted = np.random.default_rng(0).standard_normal(100)
    assert lag_frames(2.0 * np.roll(wanted, late) + 1.0, wanted) == late


def test_nobody_can_say_how_late_a_flat_or_short_curve_is():
    wanted = np.random.default_rng(0).standard_normal(100)
    assert lag_frames(np.zeros(100), wanted) is None
    assert lag_frames(wanted[:74], wanted[:74]) is None
