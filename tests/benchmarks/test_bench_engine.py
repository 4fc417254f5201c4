"""The engine's benchmark: who takes part, who cannot and why, and that a wrong picture is not timed."""

import pytest
import torch

from benchmarks.bench_engine import compare, parts
from benchmarks.errors import NotHereError, WrongAnswerError
from benchmarks.plan import Plan

TINY = Plan("cpu", n=2, side_px=16, batches=(2,), compiled=False)

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="what works on a machine without a GPU")


def test_backends_take_turns_in_batches_and_one_by_one():
    (part,) = [part for part in parts(TINY) if part.name == "small, batch 2"]
    forms = [row.form for row in part.run() if row.unit == "ms"]
    every = ["eager fp32", "openvino fp32", "eager fp32 one by one", "openvino fp32 one by one"]
    assert [form for form in forms if "fp32" in form] == every


def test_what_cannot_work_here_is_left_out_and_says_why():
    (part,) = [part for part in parts(TINY) if part.name == "cudagraph fp16"]
    with pytest.raises(NotHereError, match="without a CUDA device"):
        part.run()


def test_a_single_wrong_pixel_or_a_veil_over_all_is_not_timed():
    wanted = torch.full((2, 60, 40), 100, dtype=torch.uint8)
    dot, veil = wanted.clone(), wanted + 1
    dot[1, 30, 20] = 104
    compare("the same", "fp32", wanted, wanted)
    for got, told in ((dot, "a backend is 4 off"), (veil, "a backend, on average, is 1 off")):
        with pytest.raises(WrongAnswerError, match=told):
            compare("a backend", "fp32", got, wanted)
