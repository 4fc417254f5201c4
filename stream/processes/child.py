"""How a process of the supervisor begins: told by its standard input, whose end is the end of its parent."""

import logging
import os
import pickle
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stream.config import ServeConfig
from stream.errors import AddressError, ChildError, StreamError
from stream.log import log_to_stderr

logger = logging.getLogger(__name__)

ENGINE: Final = "engine"
EXIT_FAILED: Final = 1
EXIT_NEVER_BEGAN: Final = 3
"""To start it again would not help: its system cannot be loaded, or it cannot listen."""


@dataclass(frozen=True)
class Order:
    """What a child is to be.

    Attributes:
        name: `ENGINE`, or a gateway's.
        config: What the server was told, the port chosen.
        path: The engine's socket.
        memory: As of `stream.processes.picture_slots`, inherited.
    """

    name: str
    config: ServeConfig
    path: Path
    memory: int


def main() -> int:
    """Be what the order says. Exit codes as above; the log says why."""
    order: Order = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    log_to_stderr(order.name)
    try:
        _be(order)
    except ChildError:  # the engine has told of it
        return EXIT_NEVER_BEGAN
    except (StreamError, OSError) as error:
        logger.error("%s", error)
        return EXIT_NEVER_BEGAN if isinstance(error, AddressError) else EXIT_FAILED
    return 0


def _be(order: Order) -> None:
    # each loads only what it needs: a gateway has no networks
    if order.name == ENGINE:
        from stream.processes.engine_process import run_engine

        run_engine(order.config, order.name, order.path, order.memory)
    else:
        from stream.processes.gateway_process import run_gateway

        run_gateway(order.config, order.name, order.path, order.memory)


def _end_with_parent() -> None:
    # nothing more is written, so this waits until the parent has ended, however it does; not by `sys.stdin`, whose lock
    # the interpreter needs to end
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    # the order was pickled by a process in which this module has its own name
    from stream.processes.child import main as run

    sys.exit(run())
