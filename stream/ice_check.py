"""Whether a STUN or TURN server can be reached from here, as `visavis doctor` asks."""

import asyncio
from contextlib import suppress
from typing import Final, cast

from aioice import stun, turn

WAIT_S: Final = 3.0
PORTS: Final = {"stun": 3478, "turn": 3478, "stuns": 5349, "turns": 5349}


class IceError(Exception):
    """A STUN or TURN server did not do its part."""

    def __init__(self, found: str, remedy: str) -> None:
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.found}: {self.remedy}"


def reach(url: str, username: str | None, credential: str | None, *, wait_s: float = WAIT_S) -> str:
    """Ask a STUN server for our address, or a TURN server for a relay.

    Args:
        url: `stun:HOST[:PORT]` or `turn:HOST[:PORT][?transport=udp|tcp]`, `stuns:` and `turns:` likewise.
        username: For TURN.
        credential: For TURN.
        wait_s: How long the server may take.

    Returns:
        What the server gave, in words.

    Raises:
        IceError: If it did not answer, or refused.
    """
    scheme, host, port, transport = split(url)
    if scheme == "stuns":
        raise IceError("STUN over TLS is not used by WebRTC servers", "give its plain stun: address")
    try:
        if scheme == "stun":
            return asyncio.run(asyncio.wait_for(_reflect((host, port)), wait_s))
        relay = _relay((host, port), username, credential, transport, scheme == "turns")
        return asyncio.run(asyncio.wait_for(relay, wait_s))
    except (TimeoutError, stun.TransactionTimeout):
        way = "TCP" if transport == "tcp" else "UDP"
        raise IceError(
            f"no answer within {wait_s:.0f} s", f"open {way} port {port} on {host} and in the firewalls between"
        ) from None
    except stun.TransactionFailed as error:
        raise IceError(f"refused ({error})", "check the user and the credential after the address") from None
    except OSError as error:
        raise IceError(f"cannot be reached ({error})", "check the host's name and port, and that it runs") from None


def split(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and transport ("udp" or "tcp") of an ICE server's address."""
    scheme, _, rest = url.partition(":")
    place, _, query = rest.partition("?transport=")
    host, _, port = place.partition(":")
    transport = query or ("tcp" if scheme.lower() == "turns" else "udp")
    return scheme.lower(), host, int(port or PORTS[scheme.lower()]), transport.lower()


class _Listener(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _reflect(address: tuple[str, int]) -> str:
    transport, listener = await asyncio.get_running_loop().create_datagram_endpoint(_Listener, remote_addr=address)
    try:
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        while True:  # a datagram may be lost
            transport.sendto(bytes(request))
            with suppress(TimeoutError):
                data = await asyncio.wait_for(asyncio.shield(listener.answer), stun.RETRY_RTO)
                break
        seen = cast(tuple[str, int], stun.parse_message(data).attributes["XOR-MAPPED-ADDRESS"])
        return f"answers; it sees this machine as {seen[0]}:{seen[1]}"
    except (ValueError, KeyError) as error:
        raise IceError("answers, but not as a STUN server", "check the address") from error
    finally:
        transport.close()


async def _relay(
    address: tuple[str, int], username: str | None, credential: str | None, transport: str, tls: bool
) -> str:
    relay, _ = await turn.create_turn_endpoint(
        asyncio.DatagramProtocol, address, username, credential, transport=transport, ssl=tls
    )
    try:
        seen = cast(tuple[str, int], relay.get_extra_info("sockname"))
        return f"gives a relay at {seen[0]}:{seen[1]}"
    finally:
        relay.close()
