"""An engine in another process, as a gateway has it: connects, connects again, and knows whom to ask."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from stream.errors import LineVersionError, NotReadyError
from stream.metrics import Told
from stream.paint import Seat
from stream.processes.engine_line import EngineLine, Fields
from stream.processes.far_store import FarStore
from stream.processes.far_studio import FarStudio, far_facts
from stream.types import JSON
from stream.worker import ModelWorker

logger = logging.getLogger(__name__)

TRY_EVERY_S: Final = 0.1


class FarEngine:
    """An `Engine` of `stream.engine`, and the `Neighbours` of `stream.service`, which are reached through it.

    Attributes:
        ready: Whether the engine is there and its system loaded.
        failure: Why it never will be: it is of another version.
        expired, broken: The engine's process counts them.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        memory: int,
        answer: Callable[[str, Fields], Awaitable[Fields]],
        on_failure: Callable[[], None],
    ) -> None:
        """Begin without a connection.

        Args:
            name: Of this process.
            path: The engine's socket.
            memory: As of `stream.processes.picture_slots`.
            answer: What the other gateways may ask of this one, by kind and fields.
            on_failure: Called when `failure` is set.
        """
        self.ready = False
        self.failure: Exception | None = None
        self.expired = self.broken = 0
        self._name, self._path, self._memory = name, path, memory
        self._answer, self._on_failure = answer, on_failure
        self._worker = ModelWorker()
        self._line: EngineLine | None = None
        self._studio: FarStudio | None = None
        self._store: FarStore | None = None
        self._settled, self._closed = asyncio.Event(), asyncio.Event()
        self._live: asyncio.Task[None] | None = None

    @property
    def studio(self) -> FarStudio:
        """Hears and encodes here, and has drawn there. Raises NotReadyError while the engine is away."""
        if self._studio is None or not self.ready:
            raise NotReadyError
        return self._studio

    @property
    def store(self) -> FarStore:
        """The identities. Raises NotReadyError while the engine is away."""
        if self._store is None or not self.ready:
            raise NotReadyError
        return self._store

    def start(self) -> None:
        """Begin to connect."""
        self._worker.__enter__()
        self._live = asyncio.create_task(self._connect(), name="connect")

    async def loaded(self) -> None:
        """Wait until the engine is ready, or known to be of another version."""
        await self._settled.wait()

    async def stop(self) -> None:
        """Hang up."""
        self.ready = False
        if self._live is not None:
            self._live.cancel()
            await asyncio.gather(self._live, return_exceptions=True)
        if self._line is not None:
            self._line.close()
        await asyncio.to_thread(self._worker.__exit__, None, None, None)

    async def seat(self, identity_id: str) -> Seat:
        """A place for a new stream; see `Engine.seat`."""
        return await self.studio.sit(self.store.stand_in(identity_id))

    # the neighbours

    async def show_session(self, session_id: str) -> dict[str, JSON]:
        """See `Neighbours.show_session`."""
        return await self._ask("session", id=session_id, close=False)

    async def close_session(self, session_id: str) -> None:
        """See `Neighbours.close_session`."""
        await self._ask("session", id=session_id, close=True)

    async def metrics(self, own: Told) -> dict[str, Told]:
        """See `Neighbours.metrics`; while the engine is away, they are this process's alone."""
        try:
            return {**await self._ask("metrics"), self._name: own}
        except NotReadyError:
            return {self._name: own}

    # the line

    def opened(self, line: EngineLine) -> None:
        """See `LineOwner`."""
        self._line = line

    async def answer(self, line: EngineLine, kind: str, fields: Fields) -> Fields:
        """See `LineOwner`."""
        return await self._answer(kind, fields)

    def told(self, line: EngineLine, kind: str, fields: Fields) -> None:
        """See `LineOwner`."""
        match kind:
            case "ready":
                self._begin(line, fields["facts"])
                self._know(fields["identities"])
            case "identities":
                self._know(fields["identities"])
            case _:
                logger.warning("the engine says %r, which nobody here understands", kind)

    def closed(self, line: EngineLine, error: LineVersionError | None) -> None:
        """See `LineOwner`."""
        if self.ready:
            logger.error("the engine is gone: callers see a still picture until it is back")
        self.ready, self._line = False, None
        if self._studio is not None:
            self._studio.disconnect()
        if error is not None:
            self.failure = error
            self._settled.set()
            self._on_failure()
        self._closed.set()

    def _begin(self, line: EngineLine, facts: Fields) -> None:
        if self._studio is None or self._store is None:
            self._studio = FarStudio(self._worker, self._memory, far_facts(facts))
            self._store = FarStore(self._studio.system.name, self._ask)
            gc.collect()
            gc.freeze()  # as in `stream.local_engine`
        self._studio.connect(line)
        self.ready = True
        self._settled.set()
        logger.info("the engine is ready, system %s", self._studio.system.name)

    def _know(self, identities: list[dict[str, Any]]) -> None:
        if self._store is not None:
            self._store.know(identities)

    async def _ask(self, kind: str, **fields: Any) -> Fields:
        if self._line is None:
            raise NotReadyError
        return await self._line.ask(kind, **fields)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while self.failure is None:
            self._closed.clear()
            try:
                await loop.create_unix_connection(lambda: EngineLine(self, self._name), str(self._path))
            except OSError:  # it has not begun to listen, or not yet again
                await asyncio.sleep(TRY_EVERY_S)
            else:
                await self._closed.wait()
