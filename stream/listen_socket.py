"""The TCP socket that a server listens on, alone or with other processes on the same port."""

import socket
from contextlib import ExitStack
from typing import Final

from stream.errors import AddressError

BACKLOG: Final = 128


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket that listens; `shared`: others on this port get their part of the callers.

    Raises:
        AddressError: If nothing can listen on the address.
    """
    with ExitStack() as on_failure:
        listener = on_failure.enter_context(_bound(host, port, shared=shared))
        try:
            listener.listen(BACKLOG)
        except OSError as error:
            raise AddressError(host, port, error.strerror or str(error)) from error
        on_failure.pop_all()
        return listener


def reserve(host: str, port: int) -> socket.socket:
    """A socket that only holds a port, 0 for a free one, for processes that listen on it `shared`.

    Raises:
        AddressError: If another server listens there, shared or not, or nothing can.
    """
    listen(host, port).close()  # a shared port would be shared with the other server
    return _bound(host, port, shared=True)


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    with ExitStack() as on_failure:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            bound = on_failure.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind(address)
        except OSError as error:
            raise AddressError(host, port, error.strerror or str(error)) from error
        on_failure.pop_all()
        return bound
