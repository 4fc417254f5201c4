"""A studio whose drawing is done by the engine in another process; it hears and encodes here.

While the engine is away, its streams are heard and show their last picture. Each gets a new seat once it is back.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

from models.errors import ModelError
from models.system import FRAME_MS, KnownFacts
from stream.batch import Job
from stream.due_frame import DueFrame
from stream.errors import NotReadyError, StreamError
from stream.ladder import Rung
from stream.pacing import Phases
from stream.paint import MAX_MISSED, Brush, Seat
from stream.processes.engine_line import EngineLine, Fields
from stream.processes.far_frame import pack
from stream.processes.far_store import FarIdentity
from stream.processes.picture_slots import read_picture
from stream.worker import ModelWorker

logger = logging.getLogger(__name__)

T = TypeVar("T")

_AS_BEFORE: Final[Fields] = {"shape": None, "broken": False}


def far_facts(fields: Fields) -> KnownFacts:
    """What `stream.describe` told."""
    told = KnownFacts(**fields)
    return replace(told, lookahead_ms=tuple(told.lookahead_ms), controls=frozenset(told.controls))


@dataclass
class _Place:
    """What is known of a seat.

    Attributes:
        slot: Its number in the engine, and of its pictures; None while the engine knows it not.
        phases_s: When the other streams' frames come.
        owed: Frames that were heard here and not yet there.
        draw: One of them should have been drawn.
        error: Why the engine takes it no more.
    """

    slot: int | None
    phases_s: list[float]
    owed: list[DueFrame] = field(default_factory=list[DueFrame])
    draw: bool = False
    error: Exception | None = None


class FarStudio:
    """A `Studio` of `stream.engine`. All methods belong to the event loop."""

    def __init__(self, worker: ModelWorker, memory: int, facts: KnownFacts) -> None:
        """Begin without an engine and without seats.

        Args:
            worker: Its model thread hears and encodes.
            memory: As of `stream.processes.picture_slots`.
            facts: What draws.
        """
        self._worker, self._memory, self._facts = worker, memory, facts
        self._line: EngineLine | None = None
        self._rung: Rung = "full"
        self._places: dict[Seat, _Place] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def system(self) -> KnownFacts:
        """What draws."""
        return self._facts

    @property
    def rung(self) -> Rung:
        """What there was time for when the engine last said it."""
        return "away" if self._line is None else self._rung

    def connect(self, line: EngineLine) -> None:
        """The engine is there, or there again."""
        self._line, self._rung = line, "full"
        for seat, place in self._places.items():
            task = asyncio.create_task(self._sit_again(line, seat, place), name="sit-again")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def disconnect(self) -> None:
        """The engine is gone, and with it all that it knew."""
        self._line = None
        for place in self._places.values():
            place.slot = None

    async def sit(self, identity: FarIdentity) -> Seat:
        """A place for a new stream; raises what `Engine.seat` does."""
        line = self._line
        if line is None:
            raise NotReadyError
        answer = await line.ask("seat", identity=identity.id, admitted=False)
        if line is not self._line:
            raise NotReadyError
        seat = Seat(answer["slot"], identity)
        self._places[seat] = _Place(answer["slot"], answer["phases_s"])
        return seat

    def roomiest(self, times_s: Sequence[float], seat: Seat) -> int:
        """At which of those times its frames come farthest from those that the engine knew when it sat."""
        phases = Phases[int](FRAME_MS / 1000.0)
        for number, phase_s in enumerate(self._places[seat].phases_s):
            phases.note(number, phase_s)
        return phases.roomiest(times_s, -1)

    def note_missed(self) -> None:
        """A frame gave way to a newer one before there was time for it."""
        if self._line is not None:
            self._line.tell("missed")

    def leave(self, seat: Seat) -> None:
        """The stream has ended; none of its frames is under way."""
        place = self._places.pop(seat, None)
        if place is not None and place.slot is not None and self._line is not None:
            self._line.tell("leave", slot=place.slot)

    async def draw(self, job: Job[T]) -> T | None:
        """Hear a frame, have it drawn, and encode it; while the engine is away it shows what the one before did.

        Returns:
            What `job.finish` made, or None if there was nothing to draw or it was too late.

        Raises:
            What the engine did.
        """
        place = self._places[job.seat]
        if place.error is not None:
            raise place.error
        brush = await self._worker.run(partial(job.hear, self.rung))
        if brush is None:
            return None
        place.owed = [*place.owed, *brush.dues][-1 - MAX_MISSED :]
        place.draw |= brush.draw
        shown = await self._paint(place, job)
        return None if shown is None else await self._worker.run(partial(self._finish, job, brush, place.slot, shown))

    async def _paint(self, place: _Place, job: Job[T]) -> Fields | None:
        """What the engine says of a picture; None if it came too late."""
        identity = job.seat.identity
        assert isinstance(identity, FarIdentity)
        if self._line is None or place.slot is None:
            return _AS_BEFORE
        asked = {"slot": place.slot, "identity": identity.id, "deadline_s": job.deadline_s, "draw": place.draw}
        try:
            answer = await self._line.ask("draw", **asked, **pack(place.owed))
        except NotReadyError:
            return _AS_BEFORE
        self._rung = answer["rung"]
        if answer["late"]:
            return None
        place.owed, place.draw = [], False
        return answer

    def _finish(self, job: Job[T], brush: Brush, slot: int | None, shown: Fields) -> T:
        if slot is not None and shown["shape"] is not None:
            brush.picture = read_picture(self._memory, slot, shown["shape"])
        brush.broken = shown["broken"]
        return job.finish(brush)

    async def _sit_again(self, line: EngineLine, seat: Seat, place: _Place) -> None:
        assert isinstance(seat.identity, FarIdentity)
        try:
            answer = await line.ask("seat", identity=seat.identity.id, admitted=True)
        except NotReadyError:
            return  # gone again
        except (StreamError, ModelError) as error:
            place.error = error
            return
        if self._places.get(seat) is place and line is self._line:
            place.slot = answer["slot"]
        else:
            line.tell("leave", slot=answer["slot"])
