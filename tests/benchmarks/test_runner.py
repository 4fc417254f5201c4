import sys
import time

from benchmarks.errors import NotHereError
from benchmarks.harness import value_row
from benchmarks.plan import Plan
from benchmarks.results import LeftOut, Run
from benchmarks.runner import RESERVE_S, Budget, run_suite
from benchmarks.suite import Part, Suite
from kernels.errors import TritonUnavailableError
from tests.benchmarks.fake_nvml import FakeNvml

PLAN = Plan("cpu")


def suite_of(*runs):
    return Suite("s", lambda _: [Part(f"part {i}", run) for i, run in enumerate(runs)])


def rows(name):
    return lambda: [value_row("b", name, "MB", 1.0)]


def failing(error):
    def run():
        raise error

    return run


def test_a_broken_part_costs_only_its_own_rows_and_is_told():
    run, told = Run(), []
    suite = suite_of(rows("first"), failing(RuntimeError("out of memory")), rows("last"))
    run_suite(run, suite, PLAN, Budget(None), told.append)
    assert [row.name for row in run.rows] == ["first", "last"]
    assert run.left_out == [LeftOut("s", "part 1", "RuntimeError: out of memory", failed=True)]
    assert told == ["s: part 0", "s: part 1", "FAILED: s: part 1: RuntimeError: out of memory", "s: part 2"]


def test_a_suite_whose_library_is_missing_does_not_end_the_run():
    def parts(_):
        import no_such_library  # noqa: F401

    run = Run()
    run_suite(run, Suite("s", parts), PLAN, Budget(None), lambda _: None)
    assert run.left_out == [
        LeftOut("s", "all of it", "ModuleNotFoundError: No module named 'no_such_library'", failed=True)
    ]


def test_what_this_machine_lacks_is_no_failure():
    run = Run()
    suite = suite_of(failing(NotHereError("a GPU")), failing(TritonUnavailableError("not installed")))
    run_suite(run, suite, PLAN, Budget(None), lambda _: None)
    assert [(part.why, part.failed) for part in run.left_out] == [
        ("needs a GPU", False),
        ("no Triton kernel can run: not installed", False),
    ]


def test_no_part_begins_once_the_budget_is_spent():
    now_s, run = [100.0], Run()
    budget = Budget(2.0, lambda: now_s[0])

    def slow():
        now_s[0] += 60.0
        return [value_row("b", f"until {now_s[0]:g}", "MB", 1.0)]

    run_suite(run, suite_of(slow, slow, slow), PLAN, budget, lambda _: None)
    assert [row.name for row in run.rows] == ["until 160", "until 220"]
    assert run.left_out == [LeftOut("s", "part 2", "the 2.0 minutes were over", failed=False)]


def test_a_part_that_outlasts_the_budget_is_ended():
    run, soon = Run(), Budget((RESERVE_S + 0.2) / 60)
    run_suite(run, suite_of(lambda: time.sleep(60), rows("never")), PLAN, soon, lambda _: None)
    assert run.rows == []
    assert [(part.part, part.failed) for part in run.left_out] == [("part 0", False), ("part 1", False)]
    assert "minutes were over" in run.left_out[0].why


def test_rows_are_kept_with_what_the_gpu_did(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    run = Run()
    run_suite(run, suite_of(rows("x")), PLAN, Budget(None), lambda _: None)
    assert set(run.gpu_states) == {"b"}
    assert run.gpu_states["b"].memory_clock_mhz == 2600.0
