"""How much of its core the event loop takes: Python's packet work, which grows with every caller."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from stream.costs import ROOM

LOOK_EVERY_S: Final = 1.0
_FOLLOW: Final = 0.4


class LoopLoad:
    """What one caller costs the thread of the event loop, by its processor clock.

    Attributes:
        each: Share of the thread's time that a caller takes, 0 until one was here for a second.
    """

    def __init__(self, callers: Callable[[], int]) -> None:
        """Begin to look by `watch`; `callers` tells how many there are."""
        self.each = 0.0
        self._callers = callers

    async def watch(self) -> None:
        """Look once a second, on the event loop."""
        while True:
            began_s, used_s, callers = time.monotonic(), time.thread_time(), self._callers()
            await asyncio.sleep(LOOK_EVERY_S)
            if callers and callers == self._callers():
                share = (time.thread_time() - used_s) / (time.monotonic() - began_s)
                self.each += (_FOLLOW if self.each else 1.0) * (share / callers - self.each)

    def has_room(self) -> bool:
        """Whether the loop can serve one more caller in time. The first one always is let in."""
        callers = self._callers()
        return callers == 0 or self.each * (callers + 1) <= ROOM
