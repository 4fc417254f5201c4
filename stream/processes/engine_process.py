"""The process that draws for all gateways."""

import asyncio
import logging
import signal
from pathlib import Path

import uvloop

from models.registry import load_system
from stream.config import ServeConfig
from stream.errors import ChildError
from stream.local_engine import LocalEngine
from stream.metrics import Metrics
from stream.processes.engine_desk import Desk
from stream.processes.engine_line import EngineLine
from stream.processes.watchdog import watch

logger = logging.getLogger(__name__)


def run_engine(config: ServeConfig, name: str, path: Path, memory: int) -> None:
    """Draw for whoever comes to the socket at `path`, until SIGTERM or SIGINT.

    Args:
        config: What the server was told.
        name: Of this process.
        path: Of the socket; one that is left from before is replaced.
        memory: As of `stream.processes.picture_slots`.

    Raises:
        ChildError: If the system could not be loaded.
        DeviceLostError: If its device has gone.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(config, name, path, memory))


async def _run(config: ServeConfig, name: str, path: Path, memory: int) -> None:
    loop, metrics, told_to_stop = asyncio.get_running_loop(), Metrics(), asyncio.Event()
    for stop in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(stop, told_to_stop.set)
    engine = LocalEngine(
        config,
        lambda: load_system(config.system, config.weights, config.backend, config.precision),
        on_enrolled=metrics.on_enrolled,
    )
    metrics.watch(lambda: 0, lambda: engine.expired, lambda: engine.broken)
    desk = Desk(config, engine, metrics, memory)
    engine.start()
    server = await loop.create_unix_server(lambda: EngineLine(desk, name), str(path))
    stopping = asyncio.create_task(told_to_stop.wait(), name="stopping")
    loading = asyncio.create_task(engine.loaded(), name="loading")
    await asyncio.wait([stopping, loading], return_when=asyncio.FIRST_COMPLETED)
    if engine.ready:
        desk.open()
        watching = asyncio.create_task(watch(engine.pulse), name="watchdog")
        await asyncio.wait([stopping, desk.lost], return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
    server.close()
    desk.close()
    loading.cancel()
    stopping.cancel()
    await engine.stop()
    if desk.lost.done():
        raise desk.lost.result()
    if engine.failure is not None:
        raise ChildError(name) from engine.failure
