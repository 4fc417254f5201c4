"""Torch's backends: eager with its memory of who sits where, the compiler, and recorded graphs with their pool."""

import shutil
from functools import partial

import pytest
import torch

from models.engine.choice import Plan
from models.visavis.engine import engines
from models.visavis.engine.cudagraph import BATCHES, CudaGraph, IdentityPool, record_cuda
from models.visavis.engine.eager import Eager, compiled
from models.visavis.engine.rows import Recent
from models.visavis.speech import SpeechNet
from tests.models.engine.toy import Toy, controls, drawn, row

CPU = torch.device("cpu")


def test_the_least_recently_used_makes_room_and_is_handed_over():
    made = []

    def make(key, old):
        made.append((key[0], old))
        return key[0]

    recent, (a, b, c) = Recent(2, make), (["a"], ["b"], ["c"])
    assert [recent.of(key) for key in (a, b, a, c, a, b)] == ["a", "b", "a", "c", "a", "b"]
    assert made == [("a", None), ("b", None), ("c", "b"), ("b", "c")]


def test_equal_objects_are_not_the_same_one():
    recent = Recent(4, lambda key, _: id(key))
    one, other = ["a"], ["a"]
    assert recent.of(one) == id(one)
    assert recent.of(other) == id(other)


def test_eager_follows_who_sits_in_which_row():
    run, (a, b, c) = Eager(Toy(), CPU, 8), (row(1), row(2), row(3))
    assert drawn(run, (1.0, 1.0), [a, b]) == [1.75, 3.25]
    assert drawn(run, (1.0, 1.0), [b, a]) == [3.25, 1.75]
    assert drawn(run, (2.0,), [c]) == [7.75]
    assert drawn(run, (0.0, 1.0, 2.0), [c, c, a]) == [1.75, 4.75, 2.75]


def graph(record=lambda work: work):
    return CudaGraph(Toy(), CPU, row(0), record, 64)


@pytest.mark.parametrize("batch", [1, 2, 3, 32, 33, 70])
def test_a_graph_draws_what_the_module_draws_for_any_batch(batch):
    run, rows = graph(), [row(number % 40) for number in range(batch)]
    first = torch.linspace(-1, 1, batch).tolist()
    wanted = [float(number) * x + vector.sum().item() for x, (number, vector) in zip(first, rows, strict=True)]
    assert drawn(run, first, rows) == pytest.approx(wanted, abs=1e-5)


def test_a_batch_size_is_recorded_once_and_reads_the_same_addresses_ever_after():
    recorded = []

    def record(work):
        recorded.append(work)
        return work

    run, rows = graph(record), [row(1), row(2), row(3)]
    for _ in range(3):
        drawn(run, (1.0, 1.0, 1.0), rows)
        drawn(run, (1.0, 1.0, 1.0, 1.0), [*rows, row(4)])
    assert len(recorded) == 1  # three ride in the graph of four
    drawn(run, (1.0,), rows[:1])
    assert len(recorded) == 2


def test_frames_are_the_callers_own():
    run, one = graph(), row(1)
    first = run(controls(1.0), [one])
    kept = first.clone()
    run(controls(5.0), [one])
    assert torch.equal(first, kept)


def test_identities_are_swapped_in_place_and_those_that_stay_keep_their_slots():
    pool, (a, b, c) = IdentityPool(row(0), CPU, capacity=2), (row(1), row(2), row(3))
    addresses = [tensor.data_ptr() for tensor in pool.tensors]
    assert pool.slots([a, b]).tolist() == [0, 1]
    assert pool.slots([a]).tolist() == [0]
    assert pool.slots([c, a]).tolist() == [1, 0]  # b went: it was used least recently
    assert pool.tensors[0].tolist() == [1.0, 3.0]
    assert pool.tensors[1].tolist() == [[0.5, 0.25], [1.5, 0.25]]
    assert [tensor.data_ptr() for tensor in pool.tensors] == addresses


def test_more_identities_than_the_pool_holds_are_all_drawn():
    run, rows = graph(), [row(number) for number in range(3 * BATCHES[-1])]
    for _ in range(2):
        assert drawn(run, [1.0] * len(rows), rows) == [1.5 * number + 0.25 for number in range(len(rows))]


def test_every_batch_size_is_recorded_before_the_first_caller(monkeypatch):
    recorded = []

    def record(work):
        recorded.append(work)
        return work

    monkeypatch.setattr(engines, "compiled", lambda network: network)
    monkeypatch.setattr(engines, "record_cuda", record)
    plan = Plan("cudagraph", "fp32", CPU, "as if it were a GPU")
    made = engines.start(plan, "toy", [Toy()], row(0), SpeechNet(), ())
    assert len(recorded) == len(BATCHES)
    drawn(made.draw[0], (1.0, 1.0, 1.0), [row(1), row(2), row(3)])
    assert len(recorded) == len(BATCHES)


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # in torch, when the compiler is imported
def test_compiled_draws_what_eager_draws():
    run, eager = Eager(compiled(Toy()), CPU, 8), Eager(Toy(), CPU, 8)
    for first in ((1.0,), (0.5, -1.0)):
        rows = [row(number) for number in range(len(first))]
        assert drawn(run, first, rows) == pytest.approx(drawn(eager, first, rows))


class Times(torch.nn.Module):
    """Every number is compiled by itself."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def forward(self, x):
        return x * self.number


def test_many_networks_of_one_kind_can_be_compiled_at_two_sizes_each(monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    for number in range(8):
        network = compiled(Times(number))
        assert [network(torch.ones(batch)).sum() for batch in (1, 2, 3)] == [number, 2 * number, 3 * number]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="records a CUDA graph")
def test_a_recorded_graph_draws_what_eager_draws():
    device = torch.device("cuda", 0)
    run, eager = CudaGraph(Toy().to(device), device, row(0), record_cuda, 64), Eager(Toy().to(device), device, 8)
    for batch in (1, 3, 40):
        rows, first = [row(number) for number in range(batch)], torch.linspace(-1, 1, batch).tolist()
        assert drawn(run, first, rows) == pytest.approx(drawn(eager, first, rows))
