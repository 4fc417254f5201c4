"""How many sessions hold: the search, and one small ramp through the real engine."""

import pytest

from stream.capacity import find_capacity
from stream.ramp import largest
from tests.stream.fakes import Loudness, identity


@pytest.mark.parametrize("most", [0, 1, 2, 5, 8, 13, 16, 20])
async def test_the_largest_number_that_holds_is_found_in_few_trials(most):
    tried = []

    async def holds(number: int) -> bool:
        tried.append(number)
        return number <= most

    assert await largest(holds, 16) == min(most, 16)
    assert len(tried) == len(set(tried)) <= 9
    assert max(tried, default=0) <= 16


def test_a_system_that_takes_longer_than_a_frame_draws_nobody_in_time():
    capacity = find_capacity(Loudness(step_s=0.060), [identity(0.5)], 0.4)
    assert (capacity.sessions, capacity.admitted, capacity.costs.rows) == (0, 1, 1)
    [step] = capacity.steps
    assert step.sessions == 1
    assert step.missed > 0.2
    assert not step.in_time
