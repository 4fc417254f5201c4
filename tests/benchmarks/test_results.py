import csv
import json
from dataclasses import replace

import pytest

from benchmarks.errors import ResultsFileError
from benchmarks.harness import Row, latency, latency_row, value_row
from benchmarks.nvml import GpuState
from benchmarks.results import RESULTS_DIR, LeftOut, Run, as_json, as_table, read_run, save_csv

ROWS = [
    latency_row("b", "fast, ours", latency([1.0, 2.0, 3.0]), 2.5, x=1024.0, x_unit="bytes", device="cuda"),
    value_row("b", "memory", "MB", 1.5),
]


def lines(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_rows_are_appended_with_the_machine_they_come_from(tmp_path):
    save_csv(Run([value_row("b", "first", "MB", 1.5)]), tmp_path)
    save_csv(Run([value_row("b", "second", "MB", 2.5, 2.0)]), tmp_path)
    rows = lines(tmp_path / "b.csv")
    assert [(row["name"], row["p50"], row["limit"]) for row in rows] == [("first", "1.5", ""), ("second", "2.5", "2.0")]
    assert all(row["torch"] and row["cpu"] and row["cores"] and row["python"] for row in rows)


def test_a_files_name_has_no_blanks(tmp_path):
    save_csv(Run([value_row("cold start", "first", "ms", 1.5)]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cold-start.csv"]


def test_a_row_tells_what_the_gpu_did_meanwhile(tmp_path):
    save_csv(Run(ROWS, gpu_states={"b": GpuState(sm_clock_mhz=1980.0, power_w=612.5)}), tmp_path)
    row = lines(tmp_path / "b.csv")[0]
    assert (row["gpu_sm_clock_mhz"], row["gpu_power_w"], row["gpu_temperature_c"]) == ("1980.0", "612.5", "")
    assert "samples" not in row


def test_the_committed_results_have_the_columns_of_today(tmp_path):
    save_csv(Run([value_row("b", "x", "MB", 1.5)]), tmp_path)
    today = (tmp_path / "b.csv").read_text().splitlines()[0]
    committed = list(RESULTS_DIR.glob("*.csv"))
    assert committed
    assert {path.read_text().splitlines()[0] for path in committed} == {today}


def test_a_file_with_other_columns_is_not_added_to(tmp_path):
    (tmp_path / "b.csv").write_text("bench,name,speed\nb,x,1\n")
    with pytest.raises(
        ResultsFileError, match=r"b\.csv: got other columns \(.*speed.*\), want the columns of this version"
    ):
        save_csv(Run(ROWS), tmp_path)
    assert (tmp_path / "b.csv").read_text() == "bench,name,speed\nb,x,1\n"


def test_a_run_is_read_back_as_it_was_written(tmp_path):
    left = LeftOut("kernels", "splat", "needs a GPU", failed=False)
    run = Run(ROWS, {"torch": "2.11"}, {"b": GpuState(power_w=70.0)}, [left], "run")
    path = tmp_path / "run.json"
    path.write_text(as_json(run))
    got = read_run(path)
    assert got == run
    assert [row.samples for row in got.rows] == [(1.0, 2.0, 3.0), ()]


def broken(**change):
    whole = json.loads(as_json(Run(ROWS, {}, label="run")))
    whole["results"][0] |= change
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        (as_json(Run(ROWS, {}))[:-40], "no JSON"),
        ("[1, 2]", "format None"),
        ('{"schema": 2, "system": "visavis"}', "format None"),
        ('{"format": "visavis bench 1"}', "format 'visavis bench 1'"),
        ('{"format": "visavis bench 2"}', "KeyError: 'results'"),
        ('{"format": "visavis bench 2", "results": 3}', "TypeError"),
        (broken(p50="fast"), "p50 is 'fast', no number"),
        (broken(p50=None), "a value is missing"),
        (broken(p99=float("nan")), "p99 is nan, no number"),
        (broken(samples=[1.0, True]), "a sample is True, no number"),
        (broken(samples=[1.0, None]), "a value is missing"),
        (broken(name=3), "name is 3, no text"),
        (broken(device="toaster"), "device is 'toaster'"),
    ],
    ids=range(14),
)
def test_a_damaged_or_foreign_file_is_refused_by_name(text, said, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ResultsFileError) as error:
        read_run(path)
    assert str(error.value).startswith(f"{path}: got ")
    assert said in str(error.value)
    assert "visavis bench --out" in str(error.value)


def test_a_missed_promise_shows_in_table_and_json():
    rows = [Row("b", "slow", "ms", 30.0, None, None, 1, 20.0), value_row("b", "free", "MB", 3.0)]
    rows.append(replace(rows[0], bound="least", limit=25.0))
    table = as_table(rows).splitlines()
    assert table[1].endswith("MISSED, at most 20")
    assert table[3].endswith("ok, at least 25")
    assert [row["holds"] for row in json.loads(as_json(Run(rows)))["results"]] == [False, None, True]
