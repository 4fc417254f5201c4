"""From a due frame to VP8 payloads: what the model thread does for one stream before and after its batch."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.system import FRAME_MS, SAMPLE_RATE_HZ, Facts, IdentityState
from stream.compose import Composer
from stream.hearing import Hearing
from stream.ladder import Rung
from stream.paint import Brush, Seat
from stream.targets import ControlUpdate
from stream.vp8 import Vp8Encoder

MAX_UPDATES: Final = 64


@dataclass(frozen=True)
class DueMark:
    """A frame whose sound is complete.

    Attributes:
        frame: Its number.
        lookahead_ms: Used for it.
        sound_end: The 16 kHz sample before which its sound ends.
        received_s: When the last of that sound came in, on the monotonic clock.
        ready_s: When it was decoded.
    """

    frame: int
    lookahead_ms: int
    sound_end: int
    received_s: float
    ready_s: float

    @property
    def deadline_s(self) -> float:
        """When the next frame is due."""
        return self.ready_s + FRAME_MS / 1000.0


@dataclass
class Orders:
    """What came over the control channel since the last frame."""

    updates: list[ControlUpdate] = field(default_factory=list[ControlUpdate])
    identity: tuple[str, IdentityState] | None = None
    interrupt: bool = False

    def followed_by(self, then: "Orders") -> "Orders":
        """These and later ones as one; of too many updates the oldest go."""
        updates = [*self.updates, *then.updates][-MAX_UPDATES:]
        return Orders(updates, then.identity or self.identity, self.interrupt or then.interrupt)


@dataclass(frozen=True)
class Drawn:
    """An encoded frame, and when each of its stages ended (names of `STAGES`).

    Attributes:
        payloads: Of one RTP frame.
        stamps_s: On the monotonic clock.
        repeated: It shows what the one before showed.
        broken: Because the model spoiled it.
    """

    payloads: list[bytes]
    stamps_s: dict[str, float]
    repeated: bool
    broken: bool


class Face:
    """One stream's hearing, composer and encoder.

    Its methods run on the model thread, one at a time.

    Attributes:
        seat: Its place in the batches.
    """

    def __init__(self, hearing: Hearing, seat: Seat, encoder: Vp8Encoder) -> None:
        self.seat = seat
        self._hearing = hearing
        self._composer = Composer()
        self._encoder = encoder
        self._begun = False
        self._rests = False

    @property
    def heard_samples(self) -> int:
        """How much sound was heard, at 16 kHz. Read it while no frame is drawn."""
        return self._hearing.heard_samples

    def hear(self, due: DueMark, samples: NDArray[np.float32], orders: Orders, rung: Rung) -> Brush | None:
        """What is to be painted of a frame; None if there is no frame after all.

        Args:
            due: Which.
            samples: The sound since the last call, up to `due.sound_end`.
            orders: Obeyed first.
            rung: What there is time for.
        """
        self._obey(orders)
        self._hearing.lookahead_ms = due.lookahead_ms
        frames = self._hearing.push(samples)
        if not frames:
            return None
        new = orders.identity is not None or not self._begun
        if rung != "still":
            self._rests = False
            return Brush(self.seat, frames, new or rung != "half" or frames[-1].frame % 2 == 0)
        draw, self._rests = new or not self._rests, True
        return Brush(self.seat, [*frames[:-1], frames[-1].at_rest()], draw)

    def encode(self, brush: Brush, frame: int, *, key: bool, bitrate: int) -> tuple[list[bytes], float] | None:
        """The payloads that show what was painted, or what was shown before, and when the picture was ready for them.

        Args:
            brush: As `hear` gave it, painted.
            frame: Its number.
            key: Make it a key frame.
            bitrate: What the network is believed to carry, bits per second; 0 if not known.

        Returns:
            None if there is no picture yet.
        """
        picture = brush.pixels(self._composer)
        self._begun |= picture is not None
        if not self._begun:
            return None
        converted_s = time.monotonic()
        if bitrate:
            self._encoder.target_bitrate = bitrate
        return self._encoder.encode(picture, frame, key=key), converted_s

    def _obey(self, orders: Orders) -> None:
        for update in orders.updates:
            self._hearing.targets.update(update)
        orders.updates.clear()  # obeyed: they must not come again with the orders of a frame that came to nothing
        if orders.identity is not None:
            self.seat.identity = orders.identity[1]
        if orders.interrupt:
            self._hearing.gate.interrupt()
            orders.interrupt = False


class FrameJob:
    """One frame on its way through the model thread: a `Job` of `stream.batch`."""

    def __init__(
        self, face: Face, due: DueMark, samples: NDArray[np.float32], orders: Orders, *, key: bool, bitrate: int
    ) -> None:
        """Arguments as those of `Face.hear` and `Face.encode`."""
        self._face, self._due, self._samples, self._orders = face, due, samples, orders
        self._key, self._bitrate = key, bitrate
        self._stamps_s = {"receive": due.ready_s}

    @property
    def seat(self) -> Seat:
        """Whose it is."""
        return self._face.seat

    @property
    def deadline_s(self) -> float:
        """When the next frame is due."""
        return self._due.deadline_s

    def hear(self, rung: Rung) -> Brush | None:
        """See `Face.hear`."""
        self._stamps_s["queue"] = time.monotonic()
        brush = self._face.hear(self._due, self._samples, self._orders, rung)
        self._stamps_s["features"] = time.monotonic()
        return brush

    def finish(self, brush: Brush) -> Drawn | None:
        """See `Face.encode`."""
        self._stamps_s["render"] = time.monotonic()
        encoded = self._face.encode(brush, self._due.frame, key=self._key, bitrate=self._bitrate)
        if encoded is None:
            return None
        payloads, self._stamps_s["convert"] = encoded
        self._stamps_s["encode"] = time.monotonic()
        repeated = brush.frame is None and brush.picture is None
        return Drawn(payloads, self._stamps_s, repeated, brush.broken)


def own_part(system: Facts) -> Callable[[int, NDArray[np.uint8] | None], None]:
    """What a frame takes beside drawing: to hear 40 ms, and to encode a picture if there is one."""
    hearing, encoder = Hearing(system), Vp8Encoder()

    def part(frame: int, picture: NDArray[np.uint8] | None) -> None:
        hearing.push(np.zeros(SAMPLE_RATE_HZ * FRAME_MS // 1000, np.float32))
        if picture is not None:
            encoder.encode(picture, frame)

    return part
