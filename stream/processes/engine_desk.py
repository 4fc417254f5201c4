"""Where gateways ask the engine for what it does, in the engine's own process, and what they ask of each other.

A gateway asks for `seat` {identity, admitted} -> {slot, phases_s}, for `draw` {slot, identity, deadline_s, draw, and
`far_frame.pack`} -> {rung, late, shape, broken}, for `features` {identity} -> {}, `picture` {identity} -> {jpeg} and
`add` {photo, name} -> an identity; and of the others for `session` {id, close} -> its snapshot and for `metrics` ->
{name: told}. It tells of `missed` frames and of who `leave`s {slot}. The engine tells when it is `ready` {facts,
identities} and when the `identities` {identities} have changed.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from stream.batch import Batcher
from stream.compose import Composer
from stream.config import ServeConfig
from stream.describe import describe
from stream.errors import BusyError, DeviceLostError, LineVersionError, StreamError, UnknownSessionError
from stream.ladder import Rung
from stream.local_engine import LocalEngine
from stream.metrics import Metrics
from stream.paint import Brush, Seat
from stream.processes.engine_line import EngineLine, Fields
from stream.processes.far_frame import unpack
from stream.processes.far_store import identity_fields
from stream.processes.picture_slots import write_picture
from stream.registry import RETRY_AFTER_S

logger = logging.getLogger(__name__)

NEIGHBOUR_S: Final = 6.0
"""How long a gateway may take over what another one asks; to end a session may take it `CLOSING_S` of the registry."""


@dataclass
class _Place:
    """A stream of a gateway.

    Attributes:
        studio: Draws it.
        seat: Its row is the number of its slot too.
        identity_id: Whose face it has.
        composer: Of its pictures.
        busy: A frame of it is under way.
        gone: It has ended meanwhile.
    """

    studio: Batcher
    seat: Seat
    identity_id: str
    composer: Composer = field(default_factory=Composer)
    busy: bool = False
    gone: bool = False


class FarJob:
    """A frame that a gateway has heard: a `Job` of `stream.batch`, which leaves its picture in the seat's slot."""

    def __init__(self, place: _Place, memory: int, fields: Fields) -> None:
        """`fields` as of `FarStudio`; `memory` as of `stream.processes.picture_slots`."""
        self._place, self._memory, self._fields = place, memory, fields

    @property
    def seat(self) -> Seat:
        """Whose it is."""
        return self._place.seat

    @property
    def deadline_s(self) -> float:
        """When the next frame is due; all processes have one monotonic clock."""
        return self._fields["deadline_s"]

    def hear(self, rung: Rung) -> Brush:
        """What the gateway heard; it has minded the rung."""
        return Brush(self.seat, unpack(self._fields), self._fields["draw"])

    def finish(self, brush: Brush) -> Fields:
        """What is told of the picture."""
        shape: tuple[int, ...] | None = None
        picture = brush.pixels(self._place.composer)
        if picture is not None:
            write_picture(self._memory, self.seat.row, picture)
            shape = picture.shape
        return {"shape": shape, "broken": brush.broken}


class Desk:
    """Answers what gateways ask of the engine, and carries what they ask of each other: the owner of all lines."""

    def __init__(self, config: ServeConfig, engine: LocalEngine, metrics: Metrics, memory: int) -> None:
        """Begin closed: lines are taken, but nobody is told that the engine is ready.

        Args:
            config: What the server was told.
            engine: Draws.
            metrics: Its counters.
            memory: As of `stream.processes.picture_slots`.
        """
        self.lost: asyncio.Future[DeviceLostError] = asyncio.get_running_loop().create_future()
        self._config, self._engine, self._metrics, self._memory = config, engine, metrics, memory
        self._guests: dict[EngineLine, dict[int, _Place]] = {}
        self._opening = 0

    def open(self) -> None:
        """The engine is ready."""
        for line in self._guests:
            self._greet(line)

    def close(self) -> None:
        """Hang up on everyone."""
        for line in self._guests:
            line.close()

    def opened(self, line: EngineLine) -> None:
        """See `LineOwner`."""
        self._guests[line] = {}
        if self._engine.ready:
            self._greet(line)

    async def answer(self, line: EngineLine, kind: str, fields: Fields) -> Fields:
        """See `LineOwner`."""
        try:
            match kind:
                case "draw":
                    return await self._draw(self._guests[line][fields["slot"]], fields)
                case "seat":
                    return await self._seat(self._guests[line], **fields)
                case "features":
                    await self._engine.store.features(fields["identity"])
                    return {}
                case "picture":
                    return await self._show(**fields)
                case "add":
                    return await self._enroll(**fields)
                case "session":
                    return await self._session(line, fields)
                case "metrics":
                    return await self._counters(line)
                case _:
                    raise LookupError(kind)
        except DeviceLostError as error:
            # no process can use it again: this one ends, and the gateways keep their sessions until the next is there
            self.close()
            if not self.lost.done():
                self.lost.set_result(error)
            raise

    def told(self, line: EngineLine, kind: str, fields: Fields) -> None:
        """See `LineOwner`."""
        match kind:
            case "missed":
                if self._engine.ready:
                    self._engine.studio.note_missed()
            case "leave":
                _leave(self._guests[line].pop(fields["slot"]))
            case _:
                logger.warning("%s says %r, which nobody here understands", line.peer, kind)

    def closed(self, line: EngineLine, error: LineVersionError | None) -> None:
        """See `LineOwner`."""
        if error is not None:
            logger.error("%s", error)
        places = self._guests.pop(line, {})
        for place in places.values():
            _leave(place)
        if places:
            logger.warning("%s is gone: its %d callers have left", line.peer, len(places))

    def _greet(self, line: EngineLine) -> None:
        line.tell("ready", facts=describe(self._engine.studio.system), identities=self._everyone())

    def _everyone(self) -> list[Fields]:
        return [identity_fields(identity) for identity in self._engine.store.all()]

    async def _seat(self, places: dict[int, _Place], identity: str, admitted: bool) -> Fields:
        studio = self._engine.studio
        if admitted:
            seat = studio.sit(await self._engine.store.features(identity), admitted=True)
        else:
            seat = await self._new_seat(identity)
        places[seat.row] = _Place(studio, seat, identity)
        return {"slot": seat.row, "phases_s": studio.phases.all_s()}

    async def _new_seat(self, identity_id: str) -> Seat:
        limit = self._config.max_sessions
        if limit is not None and sum(map(len, self._guests.values())) + self._opening >= limit:
            raise BusyError("sessions", limit, RETRY_AFTER_S)
        self._opening += 1
        try:
            return await self._engine.seat(identity_id)
        finally:
            self._opening -= 1

    async def _draw(self, place: _Place, fields: Fields) -> Fields:
        place.busy = True
        try:
            if fields["identity"] != place.identity_id:
                place.seat.identity = await self._engine.store.features(fields["identity"])
                place.identity_id = fields["identity"]
            drawn = await place.studio.draw(FarJob(place, self._memory, fields))
        finally:
            place.busy = False
            if place.gone:
                _leave(place)
        return {"rung": place.studio.rung, "late": drawn is None, **(drawn or {})}

    async def _show(self, identity: str) -> Fields:
        return {"jpeg": await self._engine.store.picture(identity)}

    async def _enroll(self, photo: bytes, name: str) -> Fields:
        identity = await self._engine.store.add(photo, name)
        for line in self._guests:  # the one that asked hears of it before its answer
            line.tell("identities", identities=self._everyone())
        return identity_fields(identity)

    # from one gateway to the others

    async def _session(self, line: EngineLine, fields: Fields) -> Fields:
        for answer in (await self._ask_others(line, "session", fields)).values():
            return answer
        raise UnknownSessionError(fields["id"])

    async def _counters(self, line: EngineLine) -> Fields:
        others = await self._ask_others(line, "metrics", {})
        return {"engine": self._metrics.told(), **{name: answer["told"] for name, answer in others.items()}}

    async def _ask_others(self, line: EngineLine, kind: str, fields: Fields) -> dict[str, Fields]:
        """What the other gateways answered, by name; those that could not, or not in time, are left out."""

        async def ask(other: EngineLine) -> Fields | None:
            try:
                return await asyncio.wait_for(other.ask(kind, **fields), NEIGHBOUR_S)
            except (StreamError, TimeoutError):
                return None

        others = [other for other in self._guests if other is not line]
        answers = await asyncio.gather(*map(ask, others))
        return {other.peer: answer for other, answer in zip(others, answers, strict=True) if answer is not None}


def _leave(place: _Place) -> None:
    if place.busy:
        place.gone = True  # it leaves with its frame
    else:
        place.studio.leave(place.seat)
