"""How the two adapters reach into aiortc: by name, checked, so that a changed aiortc fails at once and says so."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from stream.errors import AiortcMovedError

T = TypeVar("T")


def private(owner: object, name: str, kind: type[T]) -> T:
    """The private attribute `name` of an aiortc object.

    Raises:
        AiortcMovedError: If it is missing or no instance of `kind`.
    """
    value = getattr(owner, name, None)
    if not isinstance(value, kind):
        raise AiortcMovedError(type(owner).__name__, name)
    return value


def coroutine(owner: object, name: str) -> Callable[[bytes], Awaitable[None]]:
    """The private coroutine method `name`, which takes bytes.

    Raises:
        AiortcMovedError: If it is missing.
    """
    method = getattr(owner, name, None)
    if not inspect.iscoroutinefunction(method):
        raise AiortcMovedError(type(owner).__name__, name)
    return cast(Callable[[bytes], Awaitable[None]], method)


def replace(owner: object, name: str, value: object, kind: type | tuple[type, ...] | None = None) -> None:
    """Put `value` in the place of the attribute or method `name`, which must exist (and be a `kind`, or callable).

    Raises:
        AiortcMovedError: If there is nothing of that sort to replace.
    """
    missing = object()
    old = getattr(owner, name, missing)
    if old is missing or not (callable(old) if kind is None else isinstance(old, kind)):
        raise AiortcMovedError(type(owner).__name__, name)
    setattr(owner, name, value)
