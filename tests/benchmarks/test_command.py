import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import execute
from benchmarks.command import SUITES
from benchmarks.harness import latency, latency_row, value_row
from benchmarks.results import Run, as_json, read_run
from benchmarks.suite import Part, Suite
from stream.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def suites(monkeypatch):
    """`visavis bench` with two suites of its own: `fine`, and `broken`."""

    def broken():
        raise RuntimeError("no luck")

    fine = [latency_row("b", "x, ours", latency([2.0] * 30))]
    own = (
        Suite("fine", lambda _: [Part("all", lambda: fine)]),
        Suite("broken", lambda _: [Part("all", broken)]),
        Suite("slow", lambda _: [Part("all", lambda: [value_row("b", "slow", "ms", 50.0, 40.0)])]),
        Suite("endless", lambda _: [Part("all", lambda: pytest.fail("nobody asked"))]),
    )
    monkeypatch.setattr("benchmarks.command.SUITES", own)
    monkeypatch.setattr("benchmarks.command.UNASKED", ("endless",))


def written(path, factor=1.0, **row):
    run = Run([replace(latency_row("b", "x, ours", latency([2.0 * factor] * 30)), **row)], {"cpu": "a"})
    path.write_text(as_json(run))
    return str(path)


@pytest.mark.usefixtures("suites")
def test_a_run_is_written_as_json_and_as_a_page(tmp_path, capsys):
    out = tmp_path / "new" / "run.json", tmp_path / "new" / "run.html"
    assert main(["bench", "fine", "--out", str(out[0]), "--out", str(out[1])]) == 0
    ours, yardstick = read_run(out[0]).rows
    assert ours.p50 == 2.0
    assert (yardstick.bench, yardstick.n) == ("machine", 40)  # before and after the suite
    assert "x, ours" in out[1].read_text()
    assert re.search(r"x, ours +2 +2 +2 ms +n=30", capsys.readouterr().out)


@pytest.mark.usefixtures("suites")
@pytest.mark.parametrize(("name", "code"), [("fine", 0), ("broken", 1), ("slow", 1)])
def test_the_exit_code_tells_of_failures_and_missed_promises(name, code):
    assert main(["bench", name]) == code


@pytest.mark.usefixtures("suites")
def test_all_suites_run_but_those_that_must_be_named(capsys):
    assert main(["bench", "--json"]) == 1
    whole = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in whole["results"] if row["bench"] == "b"] == ["x, ours", "slow"]
    assert [part["suite"] for part in whole["left_out"]] == ["broken"]


@pytest.mark.parametrize(("factor", "code", "said"), [(1.3, 1, "WORSE"), (0.7, 0, "better"), (1.01, 0, "same")])
def test_comparing_says_what_changed(factor, code, said, tmp_path, capsys):
    files = written(tmp_path / "a.json"), written(tmp_path / "b.json", factor)
    assert main(["bench", "--compare", *files]) == code
    assert said in capsys.readouterr().out


def test_runs_are_reported_side_by_side(tmp_path):
    files = [written(tmp_path / f"run{i}.json") for i in range(3)]
    assert main(["bench", "report", *files, "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert all(f"run{i}: p50" in page for i in range(3))


def test_rows_of_a_run_from_elsewhere_can_be_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.results.RESULTS_DIR", tmp_path)
    assert main(["bench", "report", written(tmp_path / "gpu.json"), "--save"]) == 0
    header, row = (tmp_path / "b.csv").read_text().splitlines()
    assert dict(zip(header.split(","), row.replace('"x, ours"', "x").split(","), strict=True))["cpu"] == "a"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["report"], 2, "got 0 files and 0 --out, want report A.json"),
        (["speed"], 2, "got speed, want any of parity"),
        (["--minutes", "-1"], 2, "got --minutes -1, want more than 0"),
        (["report", "nowhere.json", "--out", "x.html"], 1, "nowhere.json"),
        (["--compare", __file__, __file__], 1, "got no JSON"),
    ],
)
def test_wrong_usage_and_bad_files_are_told_in_a_line(words, code, said, capsys):
    assert main(["bench", *words]) == code
    errors = capsys.readouterr().err
    assert said in errors
    assert len(errors.splitlines()) == 1


def test_every_suite_has_a_name_of_its_own():
    names = [suite.name for suite in SUITES]
    assert len(set(names)) == len(names)
    assert execute.REPORT not in names


def test_the_bench_of_a_gpu_machine_runs_without_the_web_stack(tmp_path):
    """What `make bench-gpu` calls, in small, without what only a server needs."""
    absent = ["aiortc", "av", "fastapi", "uvicorn", "uvloop", "webrtcvad", "msgpack", "PIL", "dlib", "pynvml", "tqdm"]
    out = [f"--out={tmp_path / name}" for name in ("run.json", "run.html")]
    words = ["benchmarks", "kernels", "sessions", "--quick", *out]
    script = (
        "import runpy, sys\n"
        f"for name in {absent!r}: sys.modules[name] = None\n"
        f"sys.argv = {words!r}\n"
        "import torch; torch.set_num_threads(1)\n"
        "runpy.run_module('benchmarks', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    run = read_run(tmp_path / "run.json")
    assert run.environment["nvml"] == "nvidia-ml-py is not installed"
    assert {row.form for row in run.rows} >= {"eager", "one by one", "grouped convolution", "torch.stft", "copy"}
    assert "Kernels against copying" in (tmp_path / "run.html").read_text()
