"""Runs the application: a socket, uvicorn on uvloop, and a quiet end."""

import logging
import signal
import socket
import sys
from contextlib import ExitStack

import uvicorn

from stream.app import create_app
from stream.config import ServeConfig
from stream.errors import AddressError
from stream.service import Service

logger = logging.getLogger(__name__)

GOODBYE_S = 5  # for requests that are still being answered when the server is told to stop
BACKLOG = 128


def serve(config: ServeConfig) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        AddressError: If nothing can listen on the address.
        ModelError, StreamError, OSError: If the system could not be loaded.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("aioice", "aiortc"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    listener = _listen(config.host, config.port)
    running: list[uvicorn.Server] = []
    app = create_app(config, on_failure=lambda: _stop(running))
    scheme = "http" if config.tls_cert is None else "https"
    options = uvicorn.Config(
        app,
        loop="uvloop",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        ssl_certfile=config.tls_cert,
        ssl_keyfile=config.tls_key,
        timeout_graceful_shutdown=GOODBYE_S,
    )
    running.append(uvicorn.Server(options))
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.SIG_IGN)  # uvicorn raises the signal anew after its own orderly end
    logger.info("listening on %s://%s:%d", scheme, config.host, listener.getsockname()[1])
    running[0].run(sockets=[listener])
    service: Service = app.state.service
    if service.failure is not None:
        raise service.failure


def _listen(host: str, port: int) -> socket.socket:
    with ExitStack() as on_failure:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listener = on_failure.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            raise AddressError(host, port, error.strerror or str(error)) from error
        on_failure.pop_all()
        return listener


def _stop(running: list[uvicorn.Server]) -> None:
    running[0].should_exit = True
