"""The one model thread, which serves all sessions, and a slow lane beside it."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, TypeVar

import torch

from stream.errors import WorkerClosedError

T = TypeVar("T")

ASIDE_NICENESS: Final = 10


class ModelWorker:
    """Runs model steps off the event loop, one at a time, in the order in which they came.

    Use as a context manager. `run` is for what must be done now, `run_aside` for what may take seconds (an enrolment):
    that has its own thread, which yields the processor to the frames. Frames come by `stream.batch`.
    """

    def __init__(self) -> None:
        self._model: ThreadPoolExecutor | None = None
        self._aside: ThreadPoolExecutor | None = None

    def __enter__(self) -> "ModelWorker":
        self._model = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model", initializer=_small_steps)
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aside", initializer=_yield_to_others)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in (self._model, self._aside):
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)
        self._model = self._aside = None

    def submit(self, step: Callable[[], T]) -> "Future[T]":
        """Have `step` run on the model thread.

        Raises:
            WorkerClosedError: If the worker is not open.
        """
        return _submit(self._model, step)

    async def run(self, step: Callable[[], T]) -> T:
        """Run `step` on the model thread and return what it returns; see `outcome` for being cancelled.

        Raises:
            WorkerClosedError: If the worker is not open.
        """
        return await outcome(self.submit(step))

    async def run_aside(self, work: Callable[[], T]) -> T:
        """Run long `work` (an enrolment) on its own thread, at lower priority than the frames.

        Raises:
            WorkerClosedError: If the worker is not open.
        """
        return await outcome(_submit(self._aside, work))


async def outcome(future: "Future[T]") -> T:
    """Wait for work on another thread. If cancelled, take it back, or still wait for its end if it is begun already.

    A step cannot be interrupted, and must not outlive the state that it writes to.
    """
    waiting = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        if not future.cancel():
            await asyncio.wait([waiting])
        raise


def _submit(pool: ThreadPoolExecutor | None, step: Callable[[], T]) -> "Future[T]":
    if pool is None:
        raise WorkerClosedError
    return pool.submit(step)


def _small_steps() -> None:
    # at one frame a step, handing parts to other threads costs more than it saves: 40 ms more on two busy cores
    torch.set_num_threads(1)


def _yield_to_others() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), ASIDE_NICENESS)  # Linux: of this thread alone
