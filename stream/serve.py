"""Runs the application: a socket, uvicorn on uvloop, and a quiet end."""

import logging
import signal
import socket

import uvicorn
from fastapi import FastAPI

from stream.app import create_app
from stream.config import ServeConfig
from stream.listen_socket import listen
from stream.log import log_to_stderr
from stream.service import Service

logger = logging.getLogger(__name__)

GOODBYE_S = 5  # for requests that are still being answered when the server is told to stop


def serve(config: ServeConfig) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        AddressError: If nothing can listen on the address.
        ModelError, StreamError, OSError: If the system could not be loaded.
    """
    log_to_stderr()
    listener = listen(config.host, config.port)
    running: list[uvicorn.Server] = []
    app = create_app(config, on_failure=lambda: stop(running))
    run_app(app, config, listener, running)
    service: Service = app.state.service
    if service.failure is not None:
        raise service.failure


def run_app(app: FastAPI, config: ServeConfig, listener: socket.socket, running: list[uvicorn.Server]) -> None:
    """Serve an application until SIGINT, SIGTERM or `stop`.

    Args:
        app: The application.
        config: What the server was told.
        listener: Where callers come.
        running: Gets the server.
    """
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
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # uvicorn raises the signal anew after its own orderly end
    logger.info("listening on %s://%s:%d", scheme, config.host, listener.getsockname()[1])
    running[0].run(sockets=[listener])


def stop(running: list[uvicorn.Server]) -> None:
    """End what `run_app` serves."""
    running[0].should_exit = True
