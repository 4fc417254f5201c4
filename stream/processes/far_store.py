"""The identities as a gateway knows them: their list, and the rest by asking the engine, which has the features."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from models.system import IdentityState
from stream.errors import UnknownIdentityError
from stream.identities import Identity
from stream.processes.engine_line import Fields

Ask = Callable[..., Awaitable[Fields]]
"""`EngineLine.ask` of whatever line there is."""


@dataclass(frozen=True)
class FarIdentity(IdentityState):
    """Stands for features that are in the engine.

    Attributes:
        id: Whose.
    """

    id: str = ""


def identity_fields(identity: Identity) -> Fields:
    """An identity ready for msgpack."""
    return {**asdict(identity), "path": str(identity.path)}


class FarStore:
    """A `Store` of `stream.engine`."""

    def __init__(self, system: str, ask: Ask) -> None:
        """Begin without anyone; `system` draws them."""
        self._system = system
        self._ask = ask
        self._known: dict[str, Identity] = {}

    def know(self, identities: list[dict[str, Any]]) -> None:
        """Everyone whom the engine can draw, in its order, as of `identity_fields`."""
        self._known = {fields["id"]: _identity(fields) for fields in identities}

    def all(self) -> list[Identity]:
        """Everyone, demo identities first."""
        return list(self._known.values())

    def find(self, identity_id: str) -> Identity:
        """One identity, or UnknownIdentityError."""
        if identity_id not in self._known:
            raise UnknownIdentityError(identity_id)
        return self._known[identity_id]

    def stand_in(self, identity_id: str) -> FarIdentity:
        """What stands for features, whether the engine has them in memory or not."""
        return FarIdentity(self._system, 0, {}, None, identity_id)

    async def features(self, identity_id: str) -> FarIdentity:
        """What stands for features that the engine has in memory now; raises what `IdentityStore.features` does."""
        await self._ask("features", identity=identity_id)
        return self.stand_in(identity_id)

    async def picture(self, identity_id: str) -> bytes:
        """The person at rest, JPEG; raises what `IdentityStore.picture` does."""
        return (await self._ask("picture", identity=identity_id))["jpeg"]

    async def add(self, data: bytes, name: str) -> Identity:
        """Enrol an uploaded photo; raises what `IdentityStore.add` does."""
        return _identity(await self._ask("add", photo=data, name=name))


def _identity(fields: Fields) -> Identity:
    known = Identity(**fields)
    return replace(known, path=Path(known.path))
