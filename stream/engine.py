"""What draws the faces, as a server's HTTP face and its sessions see it: in this process, or in another."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from models.system import Facts, IdentityState
from stream.batch import Job
from stream.identities import Identity
from stream.ladder import Rung
from stream.paint import Seat

T = TypeVar("T")


class Studio(Protocol):
    """Draws the frames of seated streams; `stream.batch.Batcher` is one."""

    @property
    def system(self) -> Facts:
        """What draws."""
        ...

    @property
    def rung(self) -> Rung:
        """What there is time for."""
        ...

    def roomiest(self, times_s: Sequence[float], seat: Seat) -> int:
        """At which of those times this stream's frames would come farthest from all others'."""
        ...

    def note_missed(self) -> None:
        """A frame gave way to a newer one before there was time for it."""
        ...

    async def draw(self, job: Job[T]) -> T | None:
        """Have one frame drawn; see `Batcher.draw`."""
        ...

    def leave(self, seat: Seat) -> None:
        """The stream has ended; none of its frames is under way."""
        ...


class Store(Protocol):
    """Everyone who can be drawn; see `stream.identities.IdentityStore`."""

    def all(self) -> list[Identity]:
        """Everyone, demo identities first."""
        ...

    def find(self, identity_id: str) -> Identity:
        """One identity, or UnknownIdentityError."""
        ...

    async def features(self, identity_id: str) -> IdentityState:
        """What `Studio` draws this identity by."""
        ...

    async def picture(self, identity_id: str) -> bytes:
        """The person at rest, JPEG."""
        ...

    async def add(self, data: bytes, name: str) -> Identity:
        """Enrol an uploaded photo."""
        ...


class Engine(Protocol):
    """A system, loaded or about to be, with its identities and its studio.

    Attributes:
        ready: Whether a caller would get a face at once.
        failure: Why it will never be ready, if so.
    """

    ready: bool
    failure: Exception | None

    @property
    def expired(self) -> int:
        """Frames that were dropped because they were late before they were begun."""
        ...

    @property
    def broken(self) -> int:
        """Frames that the model spoiled."""
        ...

    @property
    def studio(self) -> Studio:
        """Draws. Raises NotReadyError while it cannot."""
        ...

    @property
    def store(self) -> Store:
        """The identities. Raises NotReadyError while they are not known."""
        ...

    def start(self) -> None:
        """Begin to become ready, on the event loop."""
        ...

    async def loaded(self) -> None:
        """Wait until it is ready, or has failed."""
        ...

    async def seat(self, identity_id: str) -> Seat:
        """A place for a new stream, its face already on the device.

        Raises:
            NotReadyError: If the system is still being loaded.
            UnknownIdentityError: If nobody has this id.
            BusyError: If one more face could not be drawn in time.
            DeviceFullError: If there is no memory for it.
            DeviceLostError: If nothing can be drawn any more.
        """
        ...

    async def stop(self) -> None:
        """Let go of everything. The sessions have ended before."""
        ...
