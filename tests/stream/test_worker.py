import asyncio
import os
import threading

import pytest

from stream.errors import WorkerClosedError
from stream.worker import ASIDE_NICENESS, ModelWorker


def thread_name() -> str:
    return threading.current_thread().name


async def test_all_steps_run_on_one_thread_in_the_order_they_came():
    order: list[int] = []
    with ModelWorker() as worker:
        names = await asyncio.gather(*(worker.run(lambda n=n: order.append(n) or thread_name()) for n in range(20)))
    assert order == list(range(20))
    assert len(set(names)) == 1
    assert names[0] != thread_name()


async def test_cancel_waits_for_the_running_step():
    started, release = threading.Event(), threading.Event()
    finished = []

    def step() -> None:
        started.set()
        release.wait(5)
        finished.append(True)

    with ModelWorker() as worker:
        task = asyncio.create_task(worker.run(step))
        await asyncio.to_thread(started.wait, 5)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()  # the step still owns what it writes to
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert finished == [True]


async def test_a_step_that_has_not_begun_is_taken_back_when_its_caller_is_cancelled():
    release, ran = threading.Event(), []
    with ModelWorker() as worker:
        blocker = asyncio.create_task(worker.run(lambda: release.wait(5)))
        queued = asyncio.create_task(worker.run(lambda: ran.append(True)))
        await asyncio.sleep(0)
        queued.cancel()
        with pytest.raises(asyncio.CancelledError):
            await queued
        release.set()
        await blocker
    assert ran == []


async def test_long_work_runs_aside_at_lower_priority_while_steps_go_on():
    release = threading.Event()

    def enrol() -> int:
        release.wait(5)
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with ModelWorker() as worker:
        long = asyncio.create_task(worker.run_aside(enrol))
        assert await worker.run(lambda: "frame") == "frame"
        assert not long.done()
        release.set()
        assert await long == os.getpriority(os.PRIO_PROCESS, 0) + ASIDE_NICENESS


async def test_a_failing_step_fails_its_caller_alone():
    with ModelWorker() as worker:
        with pytest.raises(ZeroDivisionError):
            await worker.run(lambda: 1 // 0)
        assert await worker.run(lambda: 2) == 2


async def test_a_closed_worker_says_what_to_do():
    worker = ModelWorker()
    with pytest.raises(WorkerClosedError, match="open the worker"):
        await worker.run(lambda: 1)
