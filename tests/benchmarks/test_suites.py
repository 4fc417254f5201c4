"""The suites themselves, on tiny inputs: that they are right about what is wrong, not how long anything takes."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmarks import bench_kernels, bench_parity, bench_stages, bench_systems
from benchmarks.bench_kernels import Case, forms, rows
from benchmarks.bench_start import frames_until_warm
from benchmarks.errors import WrongAnswerError
from benchmarks.plan import Plan
from benchmarks.rivals import modulated_eager, modulated_grouped
from kernels.modulated_conv import modulated_conv_reference
from kernels.splat import splat
from models.davs import config as davs
from models.fctfg import config as fctfg
from models.pcavs import config as pcavs
from models.tavce import config as tavce

TINY = Plan("cpu", n=2, side_px=16, batches=(2,), compiled=False)


def run(module, plan, *names):
    """The rows of the parts whose names begin like that."""
    chosen = [part for part in module.parts(plan) if part.name.startswith(names)]
    assert len(chosen) >= len(names)
    return [row for part in chosen for row in part.run()]


@pytest.mark.parametrize("up", [False, True])
def test_rivals_compute_what_the_reference_does(up):
    torch.manual_seed(0)
    x, style, bias = torch.randn(3, 5, 6, 7), torch.rand(3, 5) + 0.5, torch.randn(4)
    weight, noise = torch.randn(4, 5, 3, 3), torch.randn(3, 1, *(12, 14) if up else (6, 7))
    wanted = modulated_conv_reference(x, style, weight, bias, noise, True, up, 0.2, 2**0.5)
    for rival in (modulated_eager, modulated_grouped):
        torch.testing.assert_close(rival(x, style, weight, bias, noise, up=up), wanted, rtol=1e-4, atol=1e-4)


def test_every_kernel_is_timed_in_every_form_that_runs_here():
    found = run(bench_kernels, TINY, "flow_warp of pixels", "log_mel", "modulated_conv 1 x 1")
    forms_of = {}
    for row in found:
        forms_of.setdefault(row.case, []).append(row.form)
    assert forms_of == {
        "flow_warp 3 x 16 px, batch 2": ["eager", "one by one", "copy"],
        "modulated_conv 32 to 3, 1 x 1, 16 px, batch 2": [
            *("eager", "grouped convolution", "channels-last", "one by one", "copy"),
        ],
        "log_mel of a frame, batch 2": ["eager", "torch.stft", "one by one"],
    }
    warp = found[0]
    # features, background and the answer, 2 x 3 x 16 x 16, and flow and occlusion, 2 x 3 x 4 x 4, 4 bytes each
    assert (warp.x, warp.x_unit, warp.n, len(warp.samples)) == (4.0 * (3 * 1536 + 96), "bytes", 2, 2)


def test_a_form_with_another_answer_is_not_timed_but_told():
    others = {"wrong": lambda x: 2.2 * x, "nan": lambda x: x * torch.nan, "right": lambda x: x + x}
    case = Case("double", (torch.ones(2, 3),), lambda impl, x: 2 * x, apart=0.1, others=others)
    found = {row.form: row for row in rows(case, forms(case, 1, TINY), TINY)}
    assert list(found) == ["eager", "right", "wrong is not timed but wrong by", "nan is not timed but wrong by"]
    assert found["right"].unit == "ms"
    assert found["wrong is not timed but wrong by"].p50 == pytest.approx(0.2)
    assert [row.holds for row in found.values()] == [None, None, False, False]


def test_kernels_agree_with_their_references_in_the_interpreter():
    found = run(bench_parity, TINY, "splat, float32", "log_mel, float32")
    assert [row.name for row in found] == ["log_mel, float32", "splat, float32"]
    assert all(0 < row.p50 <= 1 and row.holds for row in found)


def test_a_kernel_that_is_off_misses_what_is_allowed(monkeypatch):
    monkeypatch.setattr(bench_parity, "splat", lambda *args, impl: 1.01 * splat(*args))
    (row,) = run(bench_parity, TINY, "splat, float32")
    assert row.p50 > 10
    assert row.holds is False


def test_a_kernel_that_gives_nan_misses_what_is_allowed():
    wanted = torch.ones(2, dtype=torch.float64)
    assert bench_parity.share_of_allowed(torch.tensor([1.0, torch.nan]), wanted, 1e-3, 0.0) == torch.inf
    assert bench_parity.share_of_allowed(torch.tensor([1.0, 1.0005]), wanted, 1e-3, 0.0) == pytest.approx(0.5, rel=1e-3)


def test_a_chain_that_draws_another_picture_in_a_batch_is_not_timed(monkeypatch):
    listen = bench_stages.Chain.listen

    def wrong(chain):
        listen(chain)
        if chain.batch > 1:
            chain.controls = chain.controls + 0.2

    monkeypatch.setattr(bench_stages.Chain, "listen", wrong)
    with pytest.raises(WrongAnswerError, match="the house model, batch 2"):
        bench_stages.parts(TINY)[0].run()


@pytest.mark.parametrize(
    ("frames_ms", "wanted"),
    [
        ([10.0] * 8, 0),
        ([50.0, 20.0, *[10.0] * 8], 2),
        ([50.0, 10.0, 10.0, 30.0, *[10.0] * 8], 4),
        ([10.0, 30.0] * 4, 8),
    ],
    ids=["at once", "second", "a hiccup", "never steady"],
)
def test_warm_is_three_usual_frames_in_a_row(frames_ms, wanted):
    assert frames_until_warm(frames_ms) == wanted


def test_published_systems_are_timed_in_turns_and_owe_25_frames_a_second(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    eager, *others = run(bench_systems, TINY, "davs")
    assert (eager.name, eager.n) == ("davs 128 px, eager", 2)
    assert [row.limit for row in (eager, *others)] == ([None, 40, None] if others else [40])


def test_a_published_system_with_another_answer_is_not_timed(monkeypatch):
    answers = iter([torch.zeros(1), torch.zeros(1), torch.ones(1)])
    monkeypatch.setattr(bench_systems, "choose_published", lambda: SimpleNamespace(backend="openvino"))
    monkeypatch.setattr(bench_systems, "_stream", lambda name, plan: lambda: next(answers))
    with pytest.raises(WrongAnswerError, match="davs by openvino is 1 off its reference"):
        run(bench_systems, TINY, "davs")


@pytest.fixture
def narrow(monkeypatch):
    """Published sizes as narrow as the small ones, without what is ours."""
    for config in (davs, pcavs, fctfg, tavce):
        monkeypatch.setattr(config, "PUBLISHED", config.SMALL)
    for config in (pcavs, fctfg):
        plain = replace(config.SMALL, generator=replace(config.SMALL.generator, carries=False))
        monkeypatch.setattr(config, "PUBLISHED", plain)


@pytest.mark.parametrize("name", bench_systems.NAMES)
def test_systems_draw_what_their_published_forms_draw(narrow, name):
    published, ours, gain = run(bench_systems, TINY, f"published size of {name}")
    assert (published.form, ours.form, ours.n) == ("published form", "ours", 2)
    assert gain.p50 == pytest.approx(published.p50 / ours.p50)
    assert gain.limit == {"davs": 1.3, "pcavs": 1.5}.get(name)


def test_a_system_that_draws_something_else_than_its_published_form_is_not_timed(narrow, monkeypatch):
    monkeypatch.setitem(bench_systems.FORMS, "davs", lambda *given: lambda: torch.zeros(1))
    with pytest.raises(WrongAnswerError, match="davs as rewritten"):
        run(bench_systems, TINY, "published size of davs")
