"""What the data channel `control` says: msgpack maps to typed messages and back. Pure.

Unknown keys and unknown control names are ignored; a wrong type is answered with an error and changes nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgpack

from models.emotion import EMOTIONS
from stream.errors import MessageError
from stream.targets import EMOTION, ControlUpdate
from stream.types import JSON

LABEL: Final = "control"
MAX_MESSAGE_BYTES: Final = 64 * 1024
MAX_NAME_CHARACTERS: Final = 200


@dataclass(frozen=True)
class SwapIdentity:
    """Draw another face from the next frame on."""

    identity_id: str


@dataclass(frozen=True)
class Interrupt:
    """Shut the mouth and forget the voice that waits to be sent back."""


@dataclass(frozen=True)
class SetLookahead:
    """Use the look-ahead nearest to this."""

    lookahead_ms: float


@dataclass(frozen=True)
class AvOffset:
    """The browser hears the voice so much later than it sees the face of the same media time."""

    late_ms: float


@dataclass(frozen=True)
class Ping:
    """To be answered by a pong with the same `sent_ms`."""

    sent_ms: float


Message = ControlUpdate | SwapIdentity | Interrupt | SetLookahead | AvOffset | Ping


def pack(message: Mapping[str, JSON]) -> bytes:
    """A message for the client."""
    return cast(bytes, msgpack.packb(dict(message)))


def parse(data: object) -> Message:
    """Read one message of the client.

    Raises:
        MessageError: If it is not a msgpack map of a known kind with values of the right types.
    """
    if not isinstance(data, bytes):
        raise MessageError("text on the data channel", "a binary msgpack map")
    if len(data) > MAX_MESSAGE_BYTES:
        raise MessageError(f"a message of {len(data)} bytes", f"at most {MAX_MESSAGE_BYTES}")
    try:
        message: object = msgpack.unpackb(data)
    except Exception as error:  # the parser of untrusted bytes may raise anything
        raise MessageError("bytes that are not msgpack", "a msgpack map") from error
    if not isinstance(message, dict):
        raise MessageError(f"a {type(message).__name__}", "a msgpack map with a key 't'")
    return _typed(cast(dict[Any, Any], message))


def _typed(message: dict[Any, Any]) -> Message:
    kind = message.get("t")
    if kind == "controls":
        pts_ms = None if message.get("pts_ms") is None else _number(message, "pts_ms")
        values = _values(message.get("values"))
        return ControlUpdate(
            {str(name): _number(values, name) for name in values if name != EMOTION}, pts_ms, _emotion(values)
        )
    if kind == "identity":
        return SwapIdentity(_name(message, "id"))
    if kind == "interrupt":
        return Interrupt()
    if kind == "lookahead":
        return SetLookahead(_number(message, "ms"))
    if kind == "av":
        return AvOffset(_number(message, "offset_ms"))
    if kind == "ping":
        return Ping(_number(message, "sent_ms"))
    raise MessageError(f"a message with t = {str(kind)[:40]!r}", "controls, identity, interrupt, lookahead, av or ping")


def _values(values: object) -> dict[Any, Any]:
    if not isinstance(values, dict):
        raise MessageError(f"controls with values of type {type(values).__name__}", "a map of names to numbers")
    return cast(dict[Any, Any], values)


def _emotion(values: Mapping[Any, Any]) -> str | None:
    name: object = values.get(EMOTION)
    if name is None or (isinstance(name, str) and name in EMOTIONS):
        return name
    raise MessageError(f"{EMOTION!r} = {str(name)[:40]!r}", f"one of {', '.join(EMOTIONS)}")


def _number(message: Mapping[Any, Any], key: str) -> float:
    value: object = message.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise MessageError(f"{str(key)[:40]!r} = {str(value)[:40]}", "a finite number")
    return float(value)


def _name(message: Mapping[Any, Any], key: str) -> str:
    value: object = message.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARACTERS:
        raise MessageError(
            f"{key!r} of type {type(value).__name__}", f"a text of 1 to {MAX_NAME_CHARACTERS} characters"
        )
    return value
