"""One server from start to stop: loads the system, warms it up, and knows everything that the routes need."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from models.system import SAMPLE_RATE_HZ, IdentityState, System
from stream.config import ServeConfig
from stream.drive import Drive
from stream.errors import NotReadyError
from stream.http_errors import code_of
from stream.identities import IdentityStore
from stream.metrics import Metrics
from stream.registry import SessionRegistry
from stream.session import Session
from stream.types import SessionOptions
from stream.worker import ModelWorker

logger = logging.getLogger(__name__)

WARM_UP_S: Final = 0.5  # of silence, drawn before anyone calls: first frames are slow ones


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
        self._ready = False
        self._settled = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.metrics.watch(lambda: len(self.registry), lambda: self._worker.expired)

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
        self._tasks.append(asyncio.create_task(self._load(), name="load"))

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
            BusyError: If all places are taken.
            UnknownIdentityError: If nobody has this id, or there is nobody at all.
            OfferError: If the offer cannot become a session.
        """
        system, store = self.system, self.store
        if identity_id is None:
            identity_id = next((identity.id for identity in store.all()), "")
        store.find(identity_id)

        async def make() -> Session:
            identity = await store.features(identity_id)
            session = await Session.open(
                sdp,
                kind,
                identity_id,
                identity,
                options,
                self._worker,
                system,
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

    async def _load(self) -> None:
        started_s = time.monotonic()
        try:
            system = await self._worker.run(self._make_system)
            assert system is not None  # no deadline was set
            self._system = system
            make_store = partial(self._make_store, on_enrolled=self.metrics.on_enrolled)
            store = await self._worker.run_aside(
                partial(make_store, self.config.data_dir, self._worker, system, self.config.framing)
            )
            self._store = store
            await self._warm_up(system, store)
        except Exception as error:  # the edge: told by /readyz, and by the command's exit code
            logger.error("loading system %s failed: %s", self.config.system, error)
            self.failure = error
            self._settled.set()
            if self._on_failure is not None:
                self._on_failure()
            return
        gc.collect()
        gc.freeze()  # what lives as long as the server is never searched again: that takes longer than a picture may
        self._ready = True
        self._settled.set()
        logger.info("ready after %.1f s, system %s", time.monotonic() - started_s, system.name)
        self._tasks.append(asyncio.create_task(self._enroll_demos(store), name="enroll-demos"))

    async def _warm_up(self, system: System, store: IdentityStore) -> None:
        first = next(iter(store.all()), None)
        if first is None:
            logger.warning("nobody is enrolled: upload a photo to begin")
            return
        await store.picture(first.id)
        await self._worker.run(partial(_draw_silence, system, await store.features(first.id)))

    async def _enroll_demos(self, store: IdentityStore) -> None:
        try:
            await store.enroll_all()
        except Exception as error:  # the edge of a task that nobody waits for; sessions do without it
            logger.error("not all demo identities could be enrolled: %s", error)


def _draw_silence(system: System, identity: IdentityState) -> None:
    drive = Drive(system, identity)
    for due in drive.push(np.zeros(int(WARM_UP_S * SAMPLE_RATE_HZ), np.float32)):
        drive.draw(due)
