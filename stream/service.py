"""One server from start to stop: loads the system, warms it up, and knows everything that the routes need."""

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
from stream.http_errors import code_of
from stream.identities import IdentityStore
from stream.measure import measure_costs
from stream.metrics import Metrics
from stream.registry import SessionRegistry
from stream.session import Session
from stream.types import SessionOptions
from stream.worker import ModelWorker

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
RELOAD_S: Final = 5.0


class Service:
    """What one server owns. `start` before use, `stop` after; both on the event loop.

    Attributes:
        config: What it was told.
        metrics: Its counters.
        registry: Its open sessions.
        failure: Why the system could not be loaded, if it could not.
    """

    def __init__(
        self,
        config: ServeConfig,
        make_system: Callable[[], System],
        make_store: Callable[..., IdentityStore] = IdentityStore,
        on_failure: Callable[[], None] | None = None,
    ) -> None:
        self.config = config
        self.metrics = Metrics()
        self.registry = SessionRegistry(config.max_sessions)
        self.failure: Exception | None = None
        self._make_system = make_system
        self._make_store = make_store
        self._on_failure = on_failure
        self._worker = ModelWorker()
        self._system: System | None = None
        self._store: IdentityStore | None = None
        self._batcher: Batcher | None = None
        self._ready = False
        self._settled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.metrics.watch(
            lambda: len(self.registry),
            lambda: self._batcher.expired if self._batcher else 0,
            lambda: self._batcher.broken if self._batcher else 0,
        )

    @property
    def ready(self) -> bool:
        """Whether a caller would get a face at once."""
        return self._ready

    @property
    def system(self) -> System:
        """The loaded system.

        Raises:
            NotReadyError: If it is still being loaded.
        """
        if self._system is None or not self._ready:
            raise NotReadyError
        return self._system

    @property
    def store(self) -> IdentityStore:
        """The identities.

        Raises:
            NotReadyError: If the system is still being loaded.
        """
        if self._store is None or not self._ready:
            raise NotReadyError
        return self._store

    def start(self) -> None:
        """Begin to load in the background; `ready` turns true at the end."""
        self._worker.__enter__()
        self._tasks.append(asyncio.create_task(self._live(), name="live"))

    async def loaded(self) -> None:
        """Wait until the server is ready, or has failed to load."""
        await self._settled.wait()

    async def stop(self) -> None:
        """Say goodbye to every caller, then let go of the model thread."""
        self._ready = False
        await self.registry.close_all("the server is shutting down")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._worker.__exit__, None, None, None)

    async def open_session(self, sdp: str, kind: str, identity_id: str | None, options: SessionOptions) -> Session:
        """Answer an offer and run the session.

        Raises:
            NotReadyError: If the system is still being loaded.
            BusyError: If all places are taken, or one more face could not be drawn in time.
            DeviceFullError: If there is no memory for one more face.
            UnknownIdentityError: If nobody has this id, or there is nobody at all.
            OfferError: If the offer cannot become a session.
        """
        store, batcher = self.store, self._batcher
        assert batcher is not None  # there is a store, so there is a system
        if identity_id is None:
            identity_id = next((identity.id for identity in store.all()), "")
        store.find(identity_id)

        async def make() -> Session:
            batcher.admit()
            identity = await store.features(identity_id)
            await batcher.rehearse(identity)
            session = await Session.open(
                sdp,
                kind,
                identity_id,
                identity,
                options,
                batcher,
                store.features,
                self.config.ice_servers,
                self.config.idle_timeout_s,
            )
            session.on_frame = self.metrics.on_frame
            return session

        try:
            session = await self.registry.open(make)
        except Exception as error:
            self.metrics.on_offer(code_of(error))
            raise
        self.metrics.on_offer("opened")
        return session

    async def _live(self) -> None:
        try:
            await self._load()
        except Exception as error:  # the edge: told by /readyz, and by the command's exit code
            logger.error("loading system %s failed: %s", self.config.system, error)
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
        make_store = partial(self._make_store, on_enrolled=self.metrics.on_enrolled)
        store = await self._worker.run_aside(
            partial(make_store, self.config.data_dir, self._worker, system, self.config.framing)
        )
        costs = await self._warm_up(system, store)
        # who says how many are let in knows better than what was measured
        told = self.config.max_sessions is not None
        self._batcher = Batcher(self._worker, system, costs, open_door=told)
        self._system, self._store = system, store
        gc.collect()
        gc.freeze()  # what lives as long as the server is never searched again: that takes longer than a picture may
        self._ready = True
        logger.info("ready after %.1f s, system %s", time.monotonic() - started_s, system.name)
        self._tasks.append(asyncio.create_task(self._enroll_demos(store), name="enroll-demos"))

    async def _reload(self, lost: DeviceLostError) -> None:
        """Load the system again after its device has gone. Its sessions have ended by themselves, with that reason."""
        self._ready = False
        logger.error("%s", lost)
        while not self._ready:
            try:
                await self._load()
            except Exception as error:  # the device may come back
                logger.error("loading system %s again failed, again in %g s: %s", self.config.system, RELOAD_S, error)
                await asyncio.sleep(RELOAD_S)

    async def _warm_up(self, system: System, store: IdentityStore) -> Costs:
        first = next(iter(store.all()), None)
        if first is None:
            logger.warning("nobody is enrolled: upload a photo to begin")
            return Costs()
        await store.picture(first.id)
        costs = await self._worker.run(partial(measure_costs, system, await store.features(first.id)))
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
