"""The one model thread, which serves all sessions, and a slow lane beside it."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Final, TypeVar

import torch

from stream.errors import WorkerClosedError

T = TypeVar("T")

ASIDE_NICENESS: Final = 10


class ModelWorker:
    """Runs model steps off the event loop, one at a time, in the order in which they came.

    Use as a context manager. `run` is for what must be done now (a frame), `run_aside` for what may take seconds
    (an enrolment): that has its own thread, which yields the processor to the frames.

    Attributes:
        expired: Steps that were dropped because their deadline had passed before they could begin.
    """

    def __init__(self) -> None:
        self.expired = 0
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

    async def run(self, step: Callable[[], T], *, deadline_s: float | None = None) -> T | None:
        """Run `step` on the model thread and return what it returns.

        If cancelled, still wait for the step to end: it cannot be interrupted, and must not outlive the state that
        it writes to.

        Args:
            step: The work.
            deadline_s: On the clock of `time.monotonic`; a step that has not begun by then is dropped.

        Returns:
            The step's result, or None if it was dropped.

        Raises:
            WorkerClosedError: If the worker is not open.
        """
        return await _ride(self._model, partial(self._in_time, step, deadline_s))

    async def run_aside(self, work: Callable[[], T]) -> T:
        """Run long `work` (an enrolment) on its own thread, at lower priority than the frames.

        Raises:
            WorkerClosedError: If the worker is not open.
        """
        return await _ride(self._aside, work)

    def _in_time(self, step: Callable[[], T], deadline_s: float | None) -> T | None:
        if deadline_s is not None and time.monotonic() > deadline_s:
            self.expired += 1
            return None
        return step()


async def _ride(pool: ThreadPoolExecutor | None, step: Callable[[], T]) -> T:
    if pool is None:
        raise WorkerClosedError
    future = asyncio.get_running_loop().run_in_executor(pool, step)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


def _small_steps() -> None:
    # at one frame a step, handing parts to other threads costs more than it saves: 40 ms more on two busy cores
    torch.set_num_threads(1)


def _yield_to_others() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), ASIDE_NICENESS)  # Linux: of this thread alone
