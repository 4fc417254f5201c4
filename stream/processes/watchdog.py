"""Ends a process that stands still, as one whose GPU hangs does: its supervisor starts the next."""

import asyncio
import faulthandler
from collections.abc import Awaitable, Callable
from typing import Final

STILL_S: Final = 30.0
"""Far more than a picture takes, or a session's first."""
_CHECKS: Final = 10


async def watch(pulse: Callable[[], Awaitable[None]], still_s: float = STILL_S) -> None:
    """Until cancelled: end this process when `pulse`, or the event loop itself, does not come back for `still_s`.

    It ends at once, with exit code 1 and what all threads were doing on stderr: a thread that hangs in a driver cannot
    be ended otherwise.
    """
    try:
        while True:
            faulthandler.dump_traceback_later(still_s, exit=True)
            await pulse()
            await asyncio.sleep(still_s / _CHECKS)
    finally:
        faulthandler.cancel_dump_traceback_later()
