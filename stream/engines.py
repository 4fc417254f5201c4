"""A server's engines by the names of their systems."""

from collections.abc import Mapping

from models.errors import UnknownSystemError
from stream.engine import Engine
from stream.errors import SystemFailedError


class Engines:
    """One engine that draws unless a caller asks for another, and the others, each loaded when it is first asked for.

    Attributes:
        first: The one that draws unless a caller asks for another.
    """

    def __init__(self, first: Engine, others: Mapping[str, Engine] | None = None) -> None:
        self.first = first
        self._others = dict(others or {})
        self._started = [first]

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the systems that a caller may choose beside the first."""
        return tuple(self._others)

    @property
    def expired(self) -> int:
        """Frames that were dropped because they were late before they were begun."""
        return sum(engine.expired for engine in self._started)

    @property
    def broken(self) -> int:
        """Frames that a model spoiled."""
        return sum(engine.broken for engine in self._started)

    def of(self, name: str | None) -> Engine:
        """The engine of a system, None for the first; it may have only begun to load.

        Raises:
            NotReadyError: If the first is still being loaded: the others come after it.
            UnknownSystemError: If a caller cannot choose this one here.
            SystemFailedError: If it could not be loaded.
        """
        known = self.first.studio.system.name
        if name is None or name == known:
            return self.first
        if name not in self._others:
            raise UnknownSystemError(name, (known, *self._others))
        engine = self._others[name]
        if engine not in self._started:
            self._started.append(engine)
            engine.start()
        if engine.failure is not None:
            raise SystemFailedError(name, engine.failure)
        return engine

    async def stop(self) -> None:
        """Let go of everything. The sessions have ended before."""
        for engine in self._started:
            await engine.stop()
