"""A process that speaks with browsers: HTTP, WebRTC, voice and video, but for the drawing, which the engine does."""

from pathlib import Path

import uvicorn

from stream.app import app_of
from stream.config import ServeConfig
from stream.engines import Engines
from stream.listen_socket import listen
from stream.metrics import Metrics
from stream.processes.engine_line import Fields
from stream.processes.far_engine import FarEngine
from stream.serve import run_app, stop
from stream.service import CLOSED_BY_CLIENT, Service


def run_gateway(config: ServeConfig, name: str, path: Path, memory: int) -> None:
    """Serve on a port that other gateways serve too, until SIGTERM or SIGINT.

    Args:
        config: What the server was told; the port is not 0.
        name: Of this process.
        path: The engine's socket.
        memory: As of `stream.processes.picture_slots`.

    Raises:
        AddressError: If nothing can listen on the address.
        LineVersionError: If the engine is of another version.
    """
    running: list[uvicorn.Server] = []

    async def answer(kind: str, fields: Fields) -> Fields:
        if kind == "metrics":
            return {"told": service.metrics.told()}
        if fields["close"]:
            await service.registry.close(fields["id"], CLOSED_BY_CLIENT)
            return {}
        return service.registry.get(fields["id"]).snapshot()

    engine = FarEngine(name, path, memory, answer, lambda: stop(running))
    service = Service(config, Engines(engine), Metrics(), engine)
    listener = listen(config.host, config.port, shared=True)
    run_app(app_of(service), config, listener, running)
    if service.failure is not None:
        raise service.failure
