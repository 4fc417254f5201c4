import csv
import json
import time

import pytest

from benchmarks.harness import Latency, Row, as_json, as_table, latency, latency_row, measure, save, value_row


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


@pytest.mark.parametrize(("limit_of", "holds"), [("p50", True), ("p95", False)])
def test_a_limit_is_held_by_the_percentile_it_is_for(limit_of, holds):
    assert latency_row("b", "x", Latency(10.0, 30.0, 40.0, 5), 20.0, limit_of).holds is holds


def test_rows_are_appended_with_the_machine_they_come_from(tmp_path):
    save([value_row("b", "first", "MB", 1.5)], tmp_path)
    save([value_row("b", "second", "MB", 2.5, 2.0)], tmp_path)
    with (tmp_path / "b.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["p50"], row["limit"]) for row in rows] == [("first", "1.5", ""), ("second", "2.5", "2.0")]
    assert all(row["torch"] and row["cpu"] and row["cores"] and row["python"] for row in rows)


def test_a_missed_limit_shows_in_table_and_json():
    rows = [Row("b", "slow", "ms", 30.0, None, None, 1, 20.0), value_row("b", "free", "MB", 3.0)]
    assert "MISSED, at most 20" in as_table(rows)
    assert [row["holds"] for row in json.loads(as_json(rows))["results"]] == [False, None]
