"""What a gateway and the engine say to each other: msgpack over a Unix domain socket, both ways.

A message is a list: ["hello", version, name] first, then ["tell", kind, fields], ["ask", number, kind, fields],
["answer", number, fields], ["refuse", number, error's class, its fields]. msgpack says itself where a message ends.
"""

import asyncio
import itertools
import logging
from typing import Any, Final, Protocol, cast

import msgpack

from models.errors import PhotoError
from stream.errors import (
    BusyError,
    DeviceFullError,
    EngineError,
    LineVersionError,
    NotReadyError,
    UnknownIdentityError,
    UnknownSessionError,
)

logger = logging.getLogger(__name__)

VERSION: Final = 1
"""Goes up whenever a message changes its meaning."""
MAX_MESSAGE_BYTES: Final = 32 << 20  # the largest is an uploaded photo

Fields = dict[str, Any]

_CARRIED: Final = {
    kind.__name__: kind
    for kind in (
        *(BusyError, DeviceFullError, EngineError, NotReadyError, PhotoError),
        *(UnknownIdentityError, UnknownSessionError),
    )
}
"""Errors that a caller can act on; their fields are the arguments that they are made of."""


class LineOwner(Protocol):
    """Who speaks on a line. All is called on the event loop."""

    def opened(self, line: "EngineLine") -> None:
        """The other side is there, and speaks our version."""
        ...

    async def answer(self, line: "EngineLine", kind: str, fields: Fields) -> Fields:
        """What the other side asked for. Errors are carried to it; cancelled when it is gone."""
        ...

    def told(self, line: "EngineLine", kind: str, fields: Fields) -> None:
        """The other side said something that needs no answer."""
        ...

    def closed(self, line: "EngineLine", error: LineVersionError | None) -> None:
        """The other side is gone, or spoke another version, and nothing that it asked for is under way any more."""
        ...


class EngineLine(asyncio.Protocol):
    """One end of the line.

    What was not sent yet is bounded by what sessions ask: each waits for its frame before it asks for the next.

    Attributes:
        peer: The name that the other side gave itself.
    """

    def __init__(self, owner: LineOwner, name: str) -> None:
        """`name` is told to the other side."""
        self.peer = ""
        self._owner, self._name = owner, name
        self._unpacker = msgpack.Unpacker(max_buffer_size=MAX_MESSAGE_BYTES)
        self._transport: asyncio.Transport | None = None
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Fields]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: LineVersionError | None = None

    def tell(self, kind: str, **fields: Any) -> None:
        """Say something, if anyone is there to hear it."""
        self._send("tell", kind, fields)

    async def ask(self, kind: str, **fields: Any) -> Fields:
        """Ask for something.

        Raises:
            NotReadyError: If the other side is gone before it has answered.
            EngineError: If it failed in a way that only its log tells.
            One of `_CARRIED`: As the other side raised it.
        """
        if self._transport is None or self._transport.is_closing():
            raise NotReadyError
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._send("ask", number, kind, fields)
        try:
            return await answer
        finally:
            del self._asked[number]

    def close(self) -> None:
        """Hang up; what was asked and not answered is forgotten."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)
        self._send("hello", VERSION, self._name)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._unpacker.feed(data)
        for message in self._unpacker:
            if self._transport is None or self._transport.is_closing():
                return
            self._take(*message)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(NotReadyError())
        ending = asyncio.create_task(self._end(), name=f"{self.peer}/end")
        self._tasks.add(ending)

    async def _end(self) -> None:
        working = self._tasks - {asyncio.current_task()}
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        self._owner.closed(self, self._error)
        self._tasks.clear()

    def _send(self, *message: Any) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(cast("bytes", msgpack.packb(message)))

    def _take(self, kind: str, *rest: Any) -> None:
        match (kind, *rest):
            case ("hello", version, name):
                self._greet(version, name)
            case ("tell", what, fields):
                self._owner.told(self, what, fields)
            case ("ask", number, what, fields):
                task = asyncio.create_task(self._serve(number, what, fields), name=f"{self.peer}/{what}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case ("answer", number, fields):
                self._settle(number, fields, None)
            case ("refuse", number, error, fields):
                self._settle(number, {}, _CARRIED[error](**fields))
            case _:
                logger.error("%s said something that nobody here understands: %s", self.peer, kind)
                self.close()

    def _greet(self, version: object, name: str) -> None:
        self.peer = name
        if version == VERSION:
            self._owner.opened(self)
        else:
            self._error = LineVersionError(name, version, VERSION)
            self.close()

    async def _serve(self, number: int, kind: str, fields: Fields) -> None:
        try:
            answer = await self._owner.answer(self, kind, fields)
        except Exception as error:  # the edge: carried to who asked
            if type(error).__name__ not in _CARRIED:
                logger.exception("%s could not have %r", self.peer, kind)
                error = EngineError(kind)
            self._send("refuse", number, type(error).__name__, vars(error))
        else:
            self._send("answer", number, answer)

    def _settle(self, number: int, fields: Fields, error: Exception | None) -> None:
        answer = self._asked.get(number)
        if answer is None or answer.done():
            return  # who asked has been cancelled
        if error is None:
            answer.set_result(fields)
        else:
            answer.set_exception(error)
