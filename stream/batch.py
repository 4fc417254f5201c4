"""One engine for all sessions: their due frames, drawn together by the model thread, each before its deadline."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Final, Protocol, TypeVar

from models.system import FRAME_MS, IdentityState, System
from stream.costs import TALK, Costs
from stream.due_frame import silent_frame
from stream.errors import BusyError, DeviceLostError
from stream.ladder import DRAWN, Ladder, Rung
from stream.pacing import Phases
from stream.paint import Brush, Painter, Seat
from stream.worker import ModelWorker, outcome

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

WAIT_S: Final = 0.003
RETRY_AFTER_S: Final = 5
_FOLLOW: Final = 0.004
"""Share of each new frame in the mean that says how many of a stream's frames are drawn: ten seconds."""


class Job(Protocol[T_co]):
    """One frame of one session. All but its attributes is called on the model thread."""

    @property
    def seat(self) -> Seat:
        """Whose it is."""
        ...

    @property
    def deadline_s(self) -> float:
        """When it is worth nothing any more, on the clock of `time.monotonic`."""
        ...

    def hear(self, rung: Rung) -> Brush | None:
        """What is to be painted; None if there is nothing after all."""
        ...

    def finish(self, brush: Brush) -> T_co:
        """Make of the painted frame what the session waits for."""
        ...


@dataclass(eq=False)
class _Ticket:
    job: Job[Any]
    came_s: float
    result: "Future[Any]"


def choose(deadlines_s: Sequence[float], now_s: float, rows: int) -> tuple[list[int], list[int]]:
    """Which of the waiting frames are too late, and which go into the next batch: the most urgent ones. Pure."""
    late = [place for place, deadline_s in enumerate(deadlines_s) if deadline_s < now_s]
    timely = sorted((p for p in range(len(deadlines_s)) if p not in late), key=lambda place: deadlines_s[place])
    return late, timely[:rows]


class Batcher:
    """Draws the frames of all sessions of one system.

    A frame that comes while the model thread is busy waits for it, and then goes with whatever else has come. One that
    finds it idle waits for others at most `wait_s`, and not at all if there are none or if a larger batch was not
    measured to be worth it. Who brings no frame, holds up nobody.

    Attributes:
        system: What draws.
        expired: Frames that were dropped because they were late before they were begun.
        broken: Frames that the model spoiled, shown as the one before.
        lost: What the device said last, once it is gone.
        phases: When in each 40 ms the streams' frames come.
    """

    def __init__(
        self,
        worker: ModelWorker,
        system: System,
        costs: Costs | None = None,
        *,
        wait_s: float = WAIT_S,
        elsewhere: Callable[[], float] = float,
        open_door: bool = False,
    ) -> None:
        """Begin without sessions.

        Args:
            worker: The model thread, open.
            system: What draws.
            costs: As measured; without them a frame costs nothing and goes by itself.
            wait_s: How long a frame may wait for others.
            elsewhere: Share of the machine's time that other systems' streams take; none unless told.
            open_door: Let in everyone, whatever was measured.
        """
        self.system = system
        self.expired = self.broken = 0
        self.lost: DeviceLostError | None = None
        self.phases = Phases[Seat](FRAME_MS / 1000.0)
        self._worker, self._wait_s, self._open_door = worker, wait_s, open_door
        self._elsewhere = elsewhere
        self._painter = Painter(system)
        self._costs = costs or Costs()
        self._most_rows = self._costs.rows
        self._ladder = Ladder(time.monotonic(), batches=self._costs.rows > 1)
        self._shares: dict[Seat, float] = {}  # of a stream's frames, how many are drawn; only the event loop adds
        self._came = threading.Condition()
        self._waiting: list[_Ticket] = []

    @property
    def rung(self) -> Rung:
        """What the machine has time for."""
        return self._ladder.rung

    @property
    def load(self) -> float:
        """Share of the model thread's time that its streams take."""
        return self._costs.load(list(self._shares.values()))

    def admit(self) -> None:
        """Do nothing if one more stream can be drawn in time, or everyone is let in.

        Raises:
            BusyError: If it cannot.
            DeviceLostError: If nothing can be drawn any more.
        """
        if self.lost is not None:
            raise self.lost
        room = self.rung == "full" and self._costs.has_room(list(self._shares.values()), self._elsewhere())
        if not room and not self._open_door:
            raise BusyError("sessions that this machine can draw in time", len(self._shares), RETRY_AFTER_S)

    def sit(self, identity: IdentityState, *, admitted: bool = False) -> Seat:
        """A place for a new stream, or for one that was `admitted` before. Raises what `admit` does."""
        if not admitted:
            self.admit()
        taken = {seat.row for seat in self._shares}
        seat = Seat(next(row for row in count() if row not in taken), identity)
        self._shares[seat] = TALK
        return seat

    async def rehearse(self, identity: IdentityState) -> None:
        """Draw a face once, so that what it needs is on the device before anyone sees it.

        Raises:
            As `sit` does, and DeviceFullError, DeviceLostError, or whatever else the system raised.
        """
        seat = self.sit(identity)
        try:
            await self._worker.run(partial(self._rehearse, Brush(seat, [silent_frame(self.system)])))
        finally:
            self.leave(seat)

    def _rehearse(self, brush: Brush) -> None:
        try:
            self._painter.paint([brush])
        except DeviceLostError as error:
            self.lost = error
            raise
        if brush.error is not None:
            raise brush.error

    def roomiest(self, times_s: Sequence[float], seat: Seat) -> int:
        """At which of those times this stream's frames would come farthest from all others'; see `Phases.roomiest`."""
        return self.phases.roomiest(times_s, seat)

    def leave(self, seat: Seat) -> None:
        """The stream has ended; none of its frames is under way."""
        self._shares.pop(seat, None)
        self.phases.forget(seat)

    def note_missed(self) -> None:
        """A frame gave way to a newer one before the model thread had time for it."""
        with self._came:
            self._ladder.note(missed=True)

    async def draw(self, job: Job[T]) -> T | None:
        """Have one frame drawn. If cancelled, still wait for it once it is begun: it must not outlive its session.

        Returns:
            What `job.finish` made, or None if there was nothing to draw or it was too late.

        Raises:
            DeviceFullError, DeviceLostError, or whatever the system raised for this row alone.
        """
        ticket = _Ticket(job, time.monotonic(), Future())
        self.phases.note(job.seat, ticket.came_s)
        with self._came:
            self._waiting.append(ticket)
            self._came.notify()
        turn = self._worker.submit(self._turn)
        turn.add_done_callback(lambda done: ticket.result.cancel() if done.cancelled() else None)
        return await outcome(ticket.result)

    def _turn(self) -> None:
        """Draw what waits. Every frame brings a turn; those whose frame went with an earlier one find nothing."""
        with self._came:
            if not self._waiting:
                return
            rows, wait_s = self._most_rows, self._patience_s()
            if wait_s:
                full = min(rows, len(self._shares))
                left_s = self._waiting[0].came_s + wait_s - time.monotonic()
                self._came.wait_for(lambda: len(self._waiting) >= full, max(0.0, left_s))
            late, chosen = choose([ticket.job.deadline_s for ticket in self._waiting], time.monotonic(), rows)
            dropped, taken = ([self._waiting[place] for place in places] for places in (late, chosen))
            self._waiting = [ticket for ticket in self._waiting if ticket not in dropped and ticket not in taken]
        for ticket in dropped:
            self.expired += 1
            self.note_missed()
            if ticket.result.set_running_or_notify_cancel():
                ticket.result.set_result(None)
        self._draw([ticket for ticket in taken if ticket.result.set_running_or_notify_cancel()])
        with self._came:
            self._ladder.tick(time.monotonic(), lambda share: self._costs.load([share] * len(self._shares)))

    def _patience_s(self) -> float:
        alone = min(self._most_rows, len(self._shares)) <= 1
        return 0.0 if alone or self.rung != "full" else self._wait_s

    def _draw(self, tickets: Sequence[_Ticket]) -> None:
        painted: list[tuple[_Ticket, Brush]] = []
        for ticket in tickets:
            try:
                brush = ticket.job.hear(self.rung)
            except Exception as error:  # one session's fault must not touch the others
                ticket.result.set_exception(error)
                continue
            if brush is None:
                ticket.result.set_result(None)
            else:
                painted.append((ticket, brush))
        self._paint([brush for _, brush in painted])
        for ticket, brush in painted:
            _settle(ticket, brush)

    def _paint(self, brushes: Sequence[Brush]) -> None:
        if not brushes:
            return
        began_s = time.monotonic()
        try:
            if self.lost is not None:
                raise self.lost
            drawn = self._painter.paint(brushes)
        except DeviceLostError as error:
            self.lost = error
            for brush in brushes:
                brush.error = error
            return
        if drawn:
            self._costs.note(drawn, 1000.0 * (time.monotonic() - began_s))
        for brush in brushes:
            self.broken += brush.broken
            self._note_share(brush)

    def _note_share(self, brush: Brush) -> None:
        if brush.draw:
            with self._came:
                self._ladder.note(missed=False)
        share = self._shares.get(brush.seat)
        if share is not None and DRAWN[self.rung] == 1.0:
            self._shares[brush.seat] = share + _FOLLOW * ((brush.frame is not None) - share)


def _settle(ticket: _Ticket, brush: Brush) -> None:
    if brush.error is not None:
        ticket.result.set_exception(brush.error)
        return
    try:
        ticket.result.set_result(ticket.job.finish(brush))
    except Exception as error:  # one session's fault must not touch the others
        ticket.result.set_exception(error)
