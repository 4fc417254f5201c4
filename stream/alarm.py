"""An event that also goes off at a given time: what a stage sleeps on."""

import asyncio
import math
import time


class Alarm:
    """Wakes one waiting stage when `ring` is called or the deadline passes, whichever is first."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the stage; if it is not waiting, its next wait returns at once."""
        self._event.set()

    async def wait(self, until_s: float | None = None) -> None:
        """Sleep until `ring`, or until `until_s` on the clock of `time.monotonic`."""
        timer = None
        if until_s is not None:
            # in whole milliseconds, rounded up: uvloop's timers are no finer and would fire early
            wait_ms = math.ceil(1000.0 * max(0.0, until_s - time.monotonic()))
            timer = asyncio.get_running_loop().call_later(wait_ms / 1000.0, self._event.set)
        try:
            await self._event.wait()
        finally:
            if timer is not None:
                timer.cancel()
            self._event.clear()
