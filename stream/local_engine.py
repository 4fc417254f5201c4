"""An engine in this process: loads its system, warms it up, and loads it anew after its device has gone."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from models.system import System
from stream.batch import Batcher
from stream.config import ServeConfig
from stream.costs import Costs
from stream.errors import DeviceLostError, NotReadyError
from stream.face import own_part
from stream.identities import IdentityStore
from stream.measure import measure_costs
from stream.paint import Seat
from stream.worker import ModelWorker

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
RELOAD_S: Final = 5.0


class LocalEngine:
    """An `Engine` of `stream.engine`. `start` before use, `stop` after; both on the event loop.

    Attributes:
        ready: Whether a caller would get a face at once.
        failure: Why the system could not be loaded, if it could not.
    """

    def __init__(
        self,
        config: ServeConfig,
        make_system: Callable[[], System],
        make_store: Callable[..., IdentityStore] = IdentityStore,
        elsewhere: Callable[[], float] = float,
        *,
        on_enrolled: Callable[[float, Exception | None], None] | None = None,
        on_failure: Callable[[], None] | None = None,
    ) -> None:
        """Begin with nothing.

        Args:
            config: What the server was told.
            make_system: Called on the model thread.
            make_store: Makes the store of identities.
            elsewhere: Share of the machine's time that other engines' streams take; none unless told.
            on_enrolled: See `IdentityStore`.
            on_failure: Called when the system could not be loaded.
        """
        self.ready = False
        self.failure: Exception | None = None
        self._config = config
        self._make_system = make_system
        self._make_store = partial(make_store, on_enrolled=on_enrolled)
        self._elsewhere = elsewhere
        self._on_failure = on_failure
        self._worker = ModelWorker()
        self._store: IdentityStore | None = None
        self._batcher: Batcher | None = None
        self._settled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def studio(self) -> Batcher:
        """Draws for all sessions. Raises NotReadyError while the system is being loaded."""
        if self._batcher is None or not self.ready:
            raise NotReadyError
        return self._batcher

    @property
    def store(self) -> IdentityStore:
        """The identities. Raises NotReadyError while the system is being loaded."""
        if self._store is None or not self.ready:
            raise NotReadyError
        return self._store

    @property
    def expired(self) -> int:
        """Frames that were dropped because they were late before they were begun."""
        return self._batcher.expired if self._batcher else 0

    @property
    def broken(self) -> int:
        """Frames that the model spoiled."""
        return self._batcher.broken if self._batcher else 0

    @property
    def load(self) -> float:
        """Share of the model thread's time that its streams take."""
        return self._batcher.load if self._batcher else 0.0

    def start(self) -> None:
        """Begin to load in the background; `ready` turns true at the end."""
        self._worker.__enter__()
        self._tasks.append(asyncio.create_task(self._live(), name="live"))

    async def loaded(self) -> None:
        """Wait until the system is loaded, or could not be."""
        await self._settled.wait()

    async def pulse(self) -> None:
        """Come back when the model thread has done what it was asked before; at once while it loads."""
        if self.ready:
            await self._worker.run(lambda: None)

    async def stop(self) -> None:
        """Let go of the model thread."""
        self.ready = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._worker.__exit__, None, None, None)

    async def seat(self, identity_id: str) -> Seat:
        """A place for a new stream; see `Engine.seat`."""
        store, batcher = self.store, self.studio
        batcher.admit()
        identity = await store.features(identity_id)
        await batcher.rehearse(identity)
        return batcher.sit(identity)

    async def _live(self) -> None:
        try:
            await self._load()
        except Exception as error:  # the edge: told by /readyz, and by the command's exit code
            logger.error("loading system %s failed: %s", self._config.system, error)
            self.failure = error
            if self._on_failure is not None:
                self._on_failure()
            return
        finally:
            self._settled.set()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._batcher is not None and self._batcher.lost is not None:
                await self._reload(self._batcher.lost)

    async def _load(self) -> None:
        started_s = time.monotonic()
        system = await self._worker.run(self._make_system)
        store = await self._worker.run_aside(
            partial(self._make_store, self._config.data_dir, self._worker, system, self._config.framing)
        )
        costs = await self._warm_up(system, store)
        # who says how many are let in knows better than what was measured
        told = self._config.max_sessions is not None
        self._batcher = Batcher(self._worker, system, costs, elsewhere=self._elsewhere, open_door=told)
        self._store = store
        gc.collect()
        gc.freeze()  # what lives as long as the server is never searched again: that takes longer than a picture may
        self.ready = True
        logger.info("ready after %.1f s, system %s", time.monotonic() - started_s, system.name)
        self._tasks.append(asyncio.create_task(self._enroll_demos(store), name="enroll-demos"))

    async def _reload(self, lost: DeviceLostError) -> None:
        """Load the system again after its device has gone. Its sessions have ended by themselves, with that reason."""
        self.ready = False
        logger.error("%s", lost)
        while not self.ready:
            try:
                await self._load()
            except Exception as error:  # the device may come back
                logger.error("loading system %s again failed, again in %g s: %s", self._config.system, RELOAD_S, error)
                await asyncio.sleep(RELOAD_S)

    async def _warm_up(self, system: System, store: IdentityStore) -> Costs:
        first = next(iter(store.all()), None)
        if first is None:
            logger.warning("nobody is enrolled: upload a photo to begin")
            return Costs()
        await store.picture(first.id)
        identity, alone = await store.features(first.id), self._config.gateways == 0
        costs = await self._worker.run(lambda: measure_costs(system, identity, own_part(system) if alone else None))
        logger.info(
            "a frame takes %.1f ms, up to %d at a time: time for %d callers",
            *(costs.draw_ms + costs.row_ms, costs.rows, costs.sessions()),
        )
        return costs

    async def _enroll_demos(self, store: IdentityStore) -> None:
        try:
            await store.enroll_all()
        except Exception as error:  # the edge of a task that nobody waits for; sessions do without it
            logger.error("not all demo identities could be enrolled: %s", error)
