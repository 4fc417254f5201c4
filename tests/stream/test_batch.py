"""One engine for all sessions: what is due goes together, late frames are dropped, and nobody waits for the dead."""

import asyncio
import threading
import time
from dataclasses import dataclass, field

import pytest
import torch

from models.system import AudioFeatures, ControlBatch
from stream.batch import Batcher, choose
from stream.costs import Costs
from stream.due_frame import DueFrame
from stream.errors import BusyError, DeviceLostError
from stream.paint import Brush, Seat
from stream.worker import ModelWorker
from tests.stream.fakes import Loudness, identity

IN_EIGHTS = Costs({1: 4.0, 2: 4.2, 4: 4.4, 8: 4.8})


@dataclass
class Recorder(Loudness):
    """Keeps the green of the identities in each batch."""

    batches: list[list[float]] = field(default_factory=list)

    def step(self, identities, features, controls, state):
        self.batches.append([round(float(one.tensors["green"]), 1) for one in identities])
        return super().step(identities, features, controls, state)


@dataclass
class Frame:
    seat: Seat
    lookahead_ms: float = 40.0
    deadline_s: float = field(default_factory=lambda: time.monotonic() + 60.0)
    fault: Exception | None = None
    heard: int = 0

    def hear(self, rung):
        if self.fault is not None:
            raise self.fault
        self.heard += 1
        features = AudioFeatures(torch.zeros(1, 4, 80), torch.tensor([self.lookahead_ms]))
        return Brush(self.seat, [DueFrame(0, features, ControlBatch(torch.zeros(1, 57), torch.zeros(1)))])

    def finish(self, brush):
        return None if brush.frame is None else round(float(brush.frame[0, 1, 0, 0] + 1) / 2, 1)


@dataclass
class Held:
    """A batcher whose model thread stands still until `release` is set."""

    system: Recorder
    batcher: Batcher
    seats: list[Seat]
    release: threading.Event


async def held(worker: ModelWorker, count: int, costs: Costs = IN_EIGHTS, **options) -> Held:
    system = Recorder()
    batcher = Batcher(worker, system, costs, **options)
    seats = [batcher.sit(identity(0.1 * n)) for n in range(count)]
    release = threading.Event()
    worker.submit(lambda: release.wait(20))
    return Held(system, batcher, seats, release)


async def drawn(batcher: Batcher, frames: list[Frame], release: threading.Event) -> list[object]:
    tasks = [asyncio.create_task(batcher.draw(frame)) for frame in frames]
    await asyncio.sleep(0)
    release.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_the_most_urgent_frames_go_first_and_the_late_ones_not_at_all():
    assert choose([5.0, 1.0, 3.0, 0.5, 4.0], now_s=1.5, rows=2) == ([1, 3], [2, 4])
    assert choose([], now_s=0.0, rows=2) == ([], [])


async def test_frames_that_come_while_the_thread_is_busy_share_a_batch_each_with_its_own_face():
    with ModelWorker() as worker:
        here = await held(worker, 6)
        frames = [Frame(seat, lookahead_ms=40.0 * (n % 2)) for n, seat in enumerate(here.seats)]
        assert await drawn(here.batcher, frames, here.release) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert here.system.batches == [[0.0, 0.1, 0.2, 0.3, 0.4, 0.5]]


async def test_a_batch_has_no_more_rows_than_are_worth_it_and_the_rest_follow():
    with ModelWorker() as worker:
        here = await held(worker, 5, Costs({1: 4.0, 2: 5.0, 4: 11.0}))
        await drawn(here.batcher, [Frame(seat) for seat in here.seats], here.release)
    assert [len(batch) for batch in here.system.batches] == [2, 2, 1]


async def test_where_batches_are_no_cheaper_each_frame_is_drawn_and_sent_by_itself():
    with ModelWorker() as worker:
        here = await held(worker, 3, Costs({1: 4.0, 2: 8.0}), wait_s=20.0)
        assert await drawn(here.batcher, [Frame(seat) for seat in here.seats], here.release) == [0.0, 0.1, 0.2]
    assert here.system.batches == [[0.0], [0.1], [0.2]]


async def test_a_late_frame_is_dropped_before_it_is_computed_and_counted():
    with ModelWorker() as worker:
        here = await held(worker, 2)
        frames = [Frame(here.seats[0], deadline_s=time.monotonic()), Frame(here.seats[1])]
        assert await drawn(here.batcher, frames, here.release) == [None, 0.1]
        assert (frames[0].heard, here.batcher.expired) == (0, 1)


async def test_the_first_frame_waits_until_all_sessions_have_come_and_no_longer():
    with ModelWorker() as worker:
        here = await held(worker, 2, wait_s=20.0)
        here.release.set()
        began_s = time.monotonic()
        first = asyncio.create_task(here.batcher.draw(Frame(here.seats[0])))
        await asyncio.sleep(0.05)
        assert not first.done()
        assert await here.batcher.draw(Frame(here.seats[1])) == 0.1
        assert await first == 0.0
        assert time.monotonic() - began_s < 15.0
    assert here.system.batches == [[0.0, 0.1]]


async def test_a_dead_session_costs_the_others_no_more_than_the_bounded_wait():
    with ModelWorker() as worker:
        here = await held(worker, 2, wait_s=0.2)
        here.release.set()
        began_s = time.monotonic()
        assert await here.batcher.draw(Frame(here.seats[0])) == 0.0
        assert time.monotonic() - began_s >= 0.2


async def test_a_lone_caller_does_not_wait():
    with ModelWorker() as worker:
        here = await held(worker, 1, wait_s=60.0)
        here.release.set()
        async with asyncio.timeout(20):
            assert await here.batcher.draw(Frame(here.seats[0])) == 0.0


async def test_a_session_whose_sound_is_at_fault_fails_alone():
    with ModelWorker() as worker:
        here = await held(worker, 3)
        frames = [Frame(here.seats[0]), Frame(here.seats[1], fault=ValueError("bad")), Frame(here.seats[2])]
        got = await drawn(here.batcher, frames, here.release)
    assert (got[0], got[2]) == (0.0, 0.2)
    assert isinstance(got[1], ValueError)


async def test_a_cancelled_session_takes_its_frame_out_of_the_batch():
    with ModelWorker() as worker:
        here = await held(worker, 2)
        tasks = [asyncio.create_task(here.batcher.draw(Frame(seat))) for seat in here.seats]
        await asyncio.sleep(0)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        here.release.set()
        assert await tasks[1] == 0.1
    assert here.system.batches == [[0.1]]


async def test_a_place_is_free_again_when_its_session_has_left():
    with ModelWorker() as worker:
        batcher = Batcher(worker, Recorder())
        first, second = batcher.sit(identity(0.1)), batcher.sit(identity(0.2))
        batcher.leave(first)
        assert (second.row, batcher.sit(identity(0.3)).row) == (1, 0)


async def test_callers_are_let_in_by_measured_milliseconds():
    with ModelWorker() as worker:
        costs = Costs({1: 10.0}, row_ms=2.0)
        batcher = Batcher(worker, Recorder(), costs)
        for _ in range(4):
            batcher.sit(identity(0.1))
        with pytest.raises(BusyError, match="all 4 sessions that this machine can draw in time are taken") as caught:
            batcher.sit(identity(0.1))
        assert caught.value.retry_after_s > 0
        assert batcher.sit(identity(0.1), admitted=True).row == 4  # was let in by an engine that has died since
        hospitable = Batcher(worker, Recorder(), costs, open_door=True)
        assert [hospitable.sit(identity(0.1)).row for _ in range(9)] == list(range(9))


async def test_nobody_is_let_in_while_quality_has_given_way():
    with ModelWorker() as worker:
        batcher = Batcher(worker, Recorder())
        batcher.sit(identity(0.1))
        batcher._ladder.rung = "half"
        with pytest.raises(BusyError):
            batcher.admit()


async def test_a_device_that_is_gone_is_told_to_all_and_lets_nobody_in():
    class Gone(Recorder):
        def step(self, identities, features, controls, state):
            raise torch.AcceleratorError("CUDA error: device lost")

    with ModelWorker() as worker:
        batcher = Batcher(worker, Gone(), IN_EIGHTS)
        seats = [batcher.sit(identity(0.1)) for _ in range(2)]
        got = await asyncio.gather(*(batcher.draw(Frame(seat)) for seat in seats), return_exceptions=True)
        assert [type(error) for error in got] == [DeviceLostError] * 2
        assert "device lost" in str(batcher.lost)
        with pytest.raises(DeviceLostError):
            batcher.sit(identity(0.1))
