"""One server from start to stop: its sessions, its engine, and everything that the routes need."""

import asyncio
from typing import Final, Protocol

from models.system import Facts
from stream.config import ServeConfig
from stream.engine import Store
from stream.engines import Engines
from stream.errors import UnknownSessionError
from stream.http_errors import code_of
from stream.metrics import Metrics, Told, one_page
from stream.registry import SessionRegistry
from stream.session import Session
from stream.types import JSON, SessionOptions

CLOSED_BY_CLIENT: Final = "closed by the client"


class Neighbours(Protocol):
    """The other processes that serve the same port."""

    async def show_session(self, session_id: str) -> dict[str, JSON]:
        """The snapshot of a session that another has, or UnknownSessionError."""
        ...

    async def close_session(self, session_id: str) -> None:
        """End a session that another has, or UnknownSessionError."""
        ...

    async def metrics(self, own: Told) -> dict[str, Told]:
        """What all processes, this one too, tell Prometheus, by their names."""
        ...


class Service:
    """What one server owns. `start` before use, `stop` after; both on the event loop.

    Attributes:
        config: What it was told.
        engines: What draws.
        metrics: Its counters.
        registry: Its open sessions.
    """

    def __init__(
        self, config: ServeConfig, engines: Engines, metrics: Metrics, neighbours: Neighbours | None = None
    ) -> None:
        """Begin without sessions; `neighbours` None is alone, and then counts `max_sessions`."""
        self.config = config
        self.engines = engines
        self.metrics = metrics
        told = config.max_sessions  # the engine counts for all gateways, and whoever was told does not measure
        self.registry = SessionRegistry(told if neighbours is None else None, measured=told is None)
        self._watching: asyncio.Task[None] | None = None
        self._neighbours = neighbours
        metrics.watch(lambda: len(self.registry), lambda: engines.expired, lambda: engines.broken)

    @property
    def failure(self) -> Exception | None:
        """Why the system could not be loaded, if it could not."""
        return self.engines.first.failure

    @property
    def ready(self) -> bool:
        """Whether a caller would get a face at once."""
        return self.engines.first.ready

    @property
    def system(self) -> Facts:
        """The system that draws unless a caller asks for another.

        Raises:
            NotReadyError: If it is still being loaded.
        """
        return self.engines.first.studio.system

    @property
    def store(self) -> Store:
        """The identities.

        Raises:
            NotReadyError: If the system is still being loaded.
        """
        return self.engines.first.store

    def start(self) -> None:
        """Begin to load in the background; `ready` turns true at the end."""
        self.engines.first.start()
        self._watching = asyncio.create_task(self.registry.load.watch(), name="loop-load")

    async def loaded(self) -> None:
        """Wait until the server is ready, or has failed to load."""
        await self.engines.first.loaded()

    async def stop(self) -> None:
        """Say goodbye to every caller, then let go of the engine."""
        self.engines.first.ready = False
        await self.registry.close_all("the server is shutting down")
        if self._watching is not None:
            self._watching.cancel()
        await self.engines.stop()

    async def open_session(
        self, sdp: str, kind: str, identity_id: str | None, options: SessionOptions, system: str | None = None
    ) -> Session:
        """Answer an offer and run the session, drawn by the named system; None takes the server's own.

        Raises:
            NotReadyError: If the system is still being loaded; one that nobody asked for before begins to be.
            UnknownSystemError: If a caller cannot choose this system here.
            SystemFailedError: If it could not be loaded.
            BusyError: If all places are taken, or one more face could not be drawn in time.
            DeviceFullError: If there is no memory for one more face.
            UnknownIdentityError: If nobody has this id, or there is nobody at all.
            OfferError: If the offer cannot become a session.
        """

        async def make() -> Session:
            engine = self.engines.of(system)
            store, studio = engine.store, engine.studio
            chosen = next((known.id for known in store.all()), "") if identity_id is None else identity_id
            store.find(chosen)
            session = await Session.open(
                sdp,
                kind,
                chosen,
                await engine.seat(chosen),
                options,
                studio,
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

    async def show_session(self, session_id: str) -> dict[str, JSON]:
        """The snapshot of an open session.

        Raises:
            UnknownSessionError: If no open session has this id, here or with the neighbours.
        """
        try:
            return self.registry.get(session_id).snapshot()
        except UnknownSessionError:
            if self._neighbours is None:
                raise
            return await self._neighbours.show_session(session_id)

    async def close_session(self, session_id: str) -> None:
        """End a session and wait until it has let go of everything. Raises what `show_session` does."""
        try:
            await self.registry.close(session_id, CLOSED_BY_CLIENT)
        except UnknownSessionError:
            if self._neighbours is None:
                raise
            await self._neighbours.close_session(session_id)

    async def metrics_text(self) -> bytes:
        """The page that Prometheus reads."""
        if self._neighbours is None:
            return self.metrics.text()
        return one_page(await self._neighbours.metrics(self.metrics.told()))
