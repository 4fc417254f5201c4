"""Serves by several processes: an engine, which draws, and gateways, which share a port. What dies is started anew."""

import asyncio
import logging
import os
import pickle
import signal
import socket
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from stream.config import ServeConfig
from stream.errors import ChildError, PlatformError, SocketPathError
from stream.listen_socket import reserve
from stream.log import log_to_stderr
from stream.processes.child import ENGINE, EXIT_NEVER_BEGAN, Order
from stream.processes.picture_slots import make_memory

logger = logging.getLogger(__name__)

MAX_SOCKET_PATH: Final = 107  # bytes; sockaddr_un has 108, of which the last is 0
SOUND_S: Final = 30.0
"""A process that lived so long was sound: the next one is started at once."""
LONGEST_DELAY_S: Final = 10.0
GOODBYE_S: Final = 8.0
"""Sessions say goodbye in 5."""


def restart_delay_s(quick_deaths: int) -> float:
    """How long to wait before a process is started anew that died so many times in a row soon after it began."""
    return min(LONGEST_DELAY_S, 0.25 * 2**quick_deaths) if quick_deaths else 0.0


def supervise(config: ServeConfig) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        PlatformError: If processes cannot share a port and memory here.
        SocketPathError: If the folder for temporary files has too long a name.
        AddressError: If nothing can listen on the address.
        ChildError: If a process could not begin; one that dies later is started anew.
    """
    log_to_stderr("supervisor")
    for lacking, name in ((socket, "SO_REUSEPORT"), (os, "memfd_create")):
        if not hasattr(lacking, name):
            raise PlatformError(name)
    with (
        tempfile.TemporaryDirectory(prefix="visavis-") as folder,
        closing(reserve(config.host, config.port)) as port,
    ):
        path = Path(folder) / "engine"
        if len(os.fsencode(path)) > MAX_SOCKET_PATH:
            raise SocketPathError(path, MAX_SOCKET_PATH)
        config = replace(config, port=port.getsockname()[1])
        asyncio.run(_supervise(config, path))


async def _supervise(config: ServeConfig, path: Path) -> None:
    memory = make_memory()
    engine = Child(Order(ENGINE, config, path, memory))
    gateways = [Child(Order(f"gateway-{n + 1}", config, path, memory)) for n in range(config.gateways)]
    told_to_stop = asyncio.Event()
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, told_to_stop.set)
    keepers = [asyncio.create_task(child.keep(), name=child.name) for child in (engine, *gateways)]
    stopping = asyncio.create_task(told_to_stop.wait(), name="stopping")
    try:
        await asyncio.wait([*keepers, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        failed = [keeper.exception() for keeper in keepers if keeper.done()]
        for task in (*keepers, stopping):
            task.cancel()
        await asyncio.wait([*keepers, stopping])
        await asyncio.gather(*(gateway.end() for gateway in gateways))
        await engine.end()  # last: the gateways' sessions say goodbye
        os.close(memory)
    for error in failed:
        if error is not None:
            raise error


class Child:
    """One process, and the next whenever it dies.

    Attributes:
        name: For the log.
    """

    def __init__(self, order: Order) -> None:
        """Begin without a process."""
        self.name = order.name
        self._order = order
        self._process: asyncio.subprocess.Process | None = None

    async def keep(self) -> None:
        """Start the process, and start it anew whenever it has died.

        Raises:
            ChildError: If the first one could not begin.
        """
        quick_deaths, first = 0, True
        while True:
            began_s = time.monotonic()
            process = await self._start()
            code = await process.wait()
            if first and code == EXIT_NEVER_BEGAN:
                raise ChildError(self.name)
            first = False
            quick_deaths = 0 if time.monotonic() - began_s > SOUND_S else quick_deaths + 1
            delay_s = restart_delay_s(quick_deaths)
            logger.error("%s (process %d) ended with %s: the next in %g s", self.name, process.pid, _why(code), delay_s)
            await asyncio.sleep(delay_s)

    async def end(self) -> None:
        """End the process: by a friendly word, or else by force."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), GOODBYE_S)
        except TimeoutError:
            logger.warning("%s did not end within %g s: killed", self.name, GOODBYE_S)
            self._process.kill()
            await self._process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        # a session of its own: Ctrl-C in a terminal is for the supervisor alone, which ends its children in order
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "stream.processes.child"),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folder or os.getcwd() for folder in sys.path)},
            stdin=asyncio.subprocess.PIPE,
            pass_fds=[self._order.memory],
            start_new_session=True,
        )
        logger.info("%s is process %d", self.name, process.pid)
        assert process.stdin is not None
        process.stdin.write(pickle.dumps(self._order))  # and left open: see `child`
        return process


def _why(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
