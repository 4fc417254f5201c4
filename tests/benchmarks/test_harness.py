import time

import pytest

from benchmarks.harness import Latency, Row, latency, latency_row, measure, take_turns, value_row


def test_warm_up_calls_are_made_but_not_timed():
    calls = []

    def slow_at_first():
        calls.append(None)
        time.sleep(0.05 if len(calls) <= 3 else 0.001)

    taken = measure(slow_at_first, n=20, warm_up=3)
    assert len(calls) == 23
    assert taken.n == 20
    assert 1.0 <= taken.p50_ms < 40.0


def test_percentiles_are_those_of_the_values():
    assert latency([float(i) for i in range(101)]) == Latency(50.0, 95.0, 99.0, 101)


def test_contestants_take_turns_and_the_first_call_of_a_turn_is_not_timed():
    order = []

    def contestant(name, warm_ms):
        def sample(n):
            order.append((name, n))
            return [1000.0] + [warm_ms] * (n - 1)

        return sample

    taken = take_turns({"a": contestant("a", 1.0), "b": contestant("b", 2.0)}, n=20, warm_up=3)
    assert order == [("a", 3), ("b", 3), *[("a", 3), ("b", 3)] * 10]
    assert taken == {"a": Latency(1.0, 1.0, 1.0, 20), "b": Latency(2.0, 2.0, 2.0, 20)}


@pytest.mark.parametrize(("n", "timed"), [(3, 3), (10, 10), (25, 30)])
def test_turns_time_at_least_as_many_calls_as_asked(n, timed):
    assert take_turns({"a": lambda n: [1.0] * n}, n)["a"].n == timed


def test_a_row_keeps_its_samples_in_order():
    assert latency_row("b", "x", latency([3.0, 1.0, 2.0])).samples == (3.0, 1.0, 2.0)


@pytest.mark.parametrize(("limit_of", "holds"), [("p50", True), ("p95", False)])
def test_a_limit_is_held_by_the_percentile_it_is_for(limit_of, holds):
    assert latency_row("b", "x", Latency(10.0, 30.0, 40.0, 5), 20.0, limit_of).holds is holds


@pytest.mark.parametrize(("value", "holds"), [(1.4, True), (1.3, True), (1.2, False)])
def test_what_must_be_reached_is_held_from_there_on(value, holds):
    assert value_row("b", "times faster", "x", value, 1.3, bound="least").holds is holds


@pytest.mark.parametrize(
    ("name", "case", "form"),
    [
        ("flow_warp 3 x 512 px, batch 1, triton", "flow_warp 3 x 512 px, batch 1", "triton"),
        ("ready after", "ready after", "ready after"),
    ],
)
def test_the_form_stands_behind_the_last_comma(name, case, form):
    row = Row("b", name, "ms", 1.0, None, None, 1)
    assert (row.case, row.form) == (case, form)
