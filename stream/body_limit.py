"""Refuses request bodies that are too big while they come in, before anything keeps them."""

from collections.abc import Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DRAIN_BYTES: Final = 64 << 20  # read and thrown away, so that a browser gets to see the answer and not a reset


class BodyLimit:
    """ASGI middleware. Must sit inside the exception handlers, which turn its 413 into our JSON."""

    def __init__(self, app: ASGIApp, *, default_bytes: int, by_path: Mapping[str, int]) -> None:
        self._app = app
        self._default_bytes = default_bytes
        self._by_path = by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit_bytes = self._by_path.get(scope["path"], self._default_bytes)
        got_bytes = 0

        async def limited() -> Message:
            nonlocal got_bytes
            message = await receive()
            got_bytes += len(message.get("body", b""))
            if got_bytes > limit_bytes:
                await _drain(receive, message)
                raise HTTPException(413, f"got a body of more than {limit_bytes / 1e6:.1f} MB: send a smaller one")
            return message

        await self._app(scope, limited, send)


async def _drain(receive: Receive, message: Message) -> None:
    thrown_bytes = 0
    while message["type"] == "http.request" and message.get("more_body") and thrown_bytes < DRAIN_BYTES:
        message = await receive()
        thrown_bytes += len(message.get("body", b""))
