"""The sessions that are open, and how many may be."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from stream.errors import BusyError, UnknownSessionError
from stream.loop_load import LoopLoad
from stream.session import Session

logger = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 5
CLOSING_S: Final = 5.0  # how long a session may take to say goodbye before it is cut off


class SessionRegistry:
    """Holds every open session and the task that runs it. A session leaves by itself when it ends.

    Attributes:
        refused: Callers who were turned away since the server began.
        opened: Callers who were let in since the server began.
        load: What each costs the event loop; somebody must run its `watch`.
    """

    def __init__(self, max_sessions: int | None, *, measured: bool = False) -> None:
        """Begin empty.

        Args:
            max_sessions: Who comes beyond is refused; None lets `make` decide.
            measured: Refuse whom the event loop has no time for, too; see `load`.
        """
        self.refused = 0
        self.opened = 0
        self.load = LoopLoad(self.__len__)
        self._max_sessions, self._measured = max_sessions, measured
        self._opening = 0
        self._sessions: dict[str, Session] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    async def open(self, make: Callable[[], Awaitable[Session]]) -> Session:
        """Open a session and run it in a task of its own.

        Args:
            make: Answers the caller's offer; whatever it raises is raised here, and the place is free again.

        Raises:
            BusyError: If all places are taken, those of callers who are just connecting included, or the event loop
                has no time for one more.
        """
        if self._max_sessions is not None and len(self._sessions) + self._opening >= self._max_sessions:
            self.refused += 1
            raise BusyError("sessions", self._max_sessions, RETRY_AFTER_S)
        if self._measured and not self.load.has_room():
            self.refused += 1
            raise BusyError("sessions that this process can serve in time", len(self), RETRY_AFTER_S)
        self._opening += 1
        try:
            session = await make()
        finally:
            self._opening -= 1
        self.opened += 1
        self._sessions[session.id] = session
        self._tasks[session.id] = asyncio.create_task(self._run(session), name=f"{session.id}/run")
        return session

    def get(self, session_id: str) -> Session:
        """One open session.

        Raises:
            UnknownSessionError: If no open session has this id.
        """
        try:
            return self._sessions[session_id]
        except KeyError:
            raise UnknownSessionError(session_id) from None

    async def close(self, session_id: str, reason: str) -> None:
        """End a session and wait until it has let go of everything.

        Raises:
            UnknownSessionError: If no open session has this id.
        """
        session = self.get(session_id)
        task = self._tasks[session_id]
        await session.close(reason)
        _, slow = await asyncio.wait([task], timeout=CLOSING_S)
        if slow:
            logger.warning("session %s: did not end within %.0f s, cut off", session_id, CLOSING_S)
            task.cancel()
            await asyncio.wait([task])

    async def close_all(self, reason: str) -> None:
        """End every session, at the same time."""
        await asyncio.gather(*(self.close(session_id, reason) for session_id in list(self._sessions)))

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        except Exception:  # the edge of one session: the others go on
            logger.exception("session %s: failed", session.id)
        finally:
            del self._sessions[session.id]
            del self._tasks[session.id]
            gc.collect()  # a peer connection is a web of cycles; quick, since `Service` froze all that was there before
