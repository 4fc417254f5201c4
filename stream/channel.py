"""A queue that never grows and never blocks its source: what is late is worth less than what is new."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestChannel(Generic[T]):
    """Hands items from one stage to the next, at most `capacity` of them waiting.

    Attributes:
        dropped: Items that gave way to newer ones.
    """

    def __init__(self, capacity: int) -> None:
        self.dropped = 0
        self._items: asyncio.Queue[T] = asyncio.Queue(capacity)

    def put_nowait(self, item: T) -> None:
        """Put an item in; a full channel loses its oldest."""
        if self._items.full():
            self._items.get_nowait()
            self.dropped += 1
        self._items.put_nowait(item)

    async def get(self) -> T:
        """Wait for the next item."""
        return await self._items.get()
