import numpy as np
import pytest

from benchmarks.compare import as_text, compare
from benchmarks.harness import latency, latency_row, value_row
from benchmarks.results import Run

MACHINE = {"cpu": "a cpu", "gpu": "a gpu", "torch": "2.11", "taken_utc": "today"}


def noisy_ms(seed, median_ms=5.0, n=100):
    """Times as a shared machine gives them: a long tail, and a stretch in which all is half as slow again."""
    random = np.random.default_rng(seed)
    times = median_ms * random.lognormal(0.0, 0.06, n)
    slow = random.integers(n - n // 10)
    times[slow : slow + n // 10] *= 1.5
    return times.tolist()


def run_of(*rows, **machine):
    return Run(list(rows), MACHINE | machine)


def verdict(a_ms, b_ms):
    a, b = (run_of(latency_row("b", "x, ours", latency(times))) for times in (a_ms, b_ms))
    return compare(a, b).changes[0].verdict


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("factor", "wanted"), [(1.2, "worse"), (1 / 1.2, "better")])
def test_a_planted_change_of_a_fifth_is_found(seed, factor, wanted):
    assert verdict(noisy_ms(seed), noisy_ms(seed + 100, 5.0 * factor)) == wanted


def test_noise_is_no_change():
    assert {verdict(noisy_ms(seed), noisy_ms(seed + 1000)) for seed in range(60)} == {"same"}


def test_a_steady_change_within_the_margin_is_none():
    times = np.linspace(1.0, 1.001, 100)
    assert verdict(times, times * 1.02) == "same"
    assert verdict(times, times * 1.05) == "worse"


def test_the_interval_holds_the_true_ratio():
    a, b = (run_of(latency_row("b", "x", latency(noisy_ms(*how)))) for how in ((1,), (2, 6.0)))
    change = compare(a, b).changes[0]
    assert 1.2 / 1.06 < change.low < 1.2 < change.high < 1.2 * 1.06
    assert change.ratio == pytest.approx(change.b.p50 / change.a.p50)


def test_few_samples_get_no_verdict():
    assert verdict([1.0] * 19, [2.0] * 19) == "unjudged"
    assert verdict([0.0] * 20, [2.0] * 20) == "unjudged"
    pair = (run_of(value_row("b", "memory", "MB", value)) for value in (100.0, 200.0))
    assert compare(*pair).changes[0].verdict == "unjudged"


def test_where_more_may_be_better_a_change_is_only_a_change():
    def rate(value):
        row = latency_row("b", "x", latency([value] * 50))
        return run_of(type(row)(**{**vars(row), "unit": "fps"}))

    assert compare(rate(25.0), rate(20.0)).changes[0].verdict == "changed"


def test_only_the_same_work_on_the_same_device_is_compared():
    def row(name, device="cpu"):
        return latency_row("b", name, latency([1.0] * 50), device=device)

    a = run_of(row("both"), row("gone"), row("on gpu", "cuda"))
    b = run_of(row("both"), row("new"), row("on gpu", "cuda"), gpu="another gpu", torch="2.13")
    comparison = compare(a, b)
    assert [change.a.name for change in comparison.changes] == ["both"]
    assert comparison.only_a == ["b: gone (cpu a cpu)", "b: on gpu (cuda a gpu)"]
    assert comparison.only_b == ["b: new (cpu a cpu)", "b: on gpu (cuda another gpu)"]
    assert comparison.around == ["gpu: a gpu -> another gpu", "torch: 2.11 -> 2.13"]


@pytest.mark.parametrize(("factor", "warned"), [(1.4, True), (1.0, False)])
def test_a_machine_that_was_itself_slower_is_told(factor, warned):
    a, b = (
        run_of(latency_row("machine", "matrix product", latency([ms] * 40)), latency_row("b", "x", latency([ms] * 40)))
        for ms in (1.0, factor)
    )
    text = as_text(compare(a, b))
    assert ("the machine itself took 1.40 times as long in B for the same matrix product" in text) is warned


def test_what_changed_is_told_before_what_did_not():
    rows = {"steady": (1.0, 1.0), "slower": (1.0, 1.3), "faster": (1.0, 0.7)}
    a, b = (run_of(*(latency_row("b", name, latency([times[i]] * 50)) for name, times in rows.items())) for i in (0, 1))
    lines = as_text(compare(a, b)).splitlines()
    assert lines[0].startswith("2 of 3 rows changed beyond noise (99 % interval")
    assert [line.split()[1] for line in lines[2:]] == ["faster", "slower", "steady"]
    assert lines[3].endswith("- WORSE")
    assert "1.300 to 1.300" in lines[3]
