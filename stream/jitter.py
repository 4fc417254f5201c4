"""Reorder, wait a bounded time, conceal: RTP packets to an unbroken line of sound. Pure: time is an argument.

A packet that comes in turn is handed on at once. Only a missing one is waited for, and no longer than a delay that
follows the jitter just seen and never exceeds `max_delay_ms`; then its place is concealed. A source that sends
nothing (mute, DTX, loss, not yet started) is thereby concealed in real time, and frames go on at their rate.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stream.clock import OPUS_HZ, RtpClock

GRID_SAMPLES: Final = OPUS_HZ // 50
"""A new source starts on a multiple of 20 ms, so that packet ends meet frame ends and no frame waits for a part."""
LATE_FOR_S: Final = 0.5
"""If all packets of so long were late, the path has become slower: follow it. A burst after a stall is no such case."""
FAR_SAMPLES: Final = 2 * OPUS_HZ
FAR_RUN: Final = 3
WINDOW_S: Final = 2.5
"""The fastest packet of the last one to two windows defines what "in time" means, so clock drift is followed."""
DECAY: Final = 0.01
"""Share of the excess delay that is forgotten with every packet."""
MARGIN_S: Final = 0.005


@dataclass(frozen=True)
class RtpAudio:
    """One RTP packet of the caller's voice.

    Attributes:
        ssrc: Its source.
        sequence: RTP sequence number, 16 bit.
        timestamp: RTP timestamp, 48 kHz, 32 bit.
        payload: One Opus packet.
        samples: Its length at 48 kHz.
        arrival_s: When it came, on the monotonic clock.
    """

    ssrc: int
    sequence: int
    timestamp: int
    payload: bytes
    samples: int
    arrival_s: float


@dataclass(frozen=True)
class Chunk:
    """The next stretch of sound: a packet, or a gap to conceal.

    Attributes:
        position: Where it begins on the session clock, in 48 kHz samples.
        samples: Its length at 48 kHz.
        packet: What to decode; None where nothing came in time.
        ready_s: When it could first be handed on.
    """

    position: int
    samples: int
    packet: RtpAudio | None
    ready_s: float


class JitterBuffer:
    """Turns packets in any order into chunks in order, without a hole.

    Attributes:
        received: Packets that came, duplicates not counted.
        lost: Sequence numbers that never came, as far as known.
        late: Packets that came after their place was concealed.
        concealed: Gaps concealed while the source was sending (silence before and after is not counted).
        moved: How often the source was given a new place on the clock (start, new source, slower path).
    """

    def __init__(
        self,
        now_s: float,
        *,
        min_delay_ms: float = 20.0,
        max_delay_ms: float = 120.0,
        place: Callable[[RtpAudio, tuple[int, int]], int] | None = None,
    ) -> None:
        """Begin at position 0.

        Args:
            now_s: The time, on the clock of `RtpAudio.arrival_s`.
            min_delay_ms: A missing packet is waited for at least so long.
            max_delay_ms: And at most so long.
            place: Asked for each new source with its first packet: which of two positions, 20 ms apart, it is to have
                (0 or 1); the first if not given.
        """
        self.received = self.late = self.concealed = self.moved = 0
        self._min_s, self._max_s = min_delay_ms / 1000.0, max_delay_ms / 1000.0
        self._place = place
        self._clock = RtpClock()
        self._next = 0
        self._waiting: dict[int, RtpAudio] = {}
        self._base_s = self._older_s = self._newer_s = now_s  # when position 0 came, for the fastest packet
        self._window_end_s = now_s
        self._excess_s = 0.0
        self._ssrc: int | None = None
        self._late_since_s: float | None = None
        self._far_run = self._gap_run = 0
        self._silent_until = 0
        self._chunk_samples = GRID_SAMPLES
        self._sequences = _Sequences()

    @property
    def lost(self) -> int:
        return self._sequences.missing

    @property
    def position(self) -> int:
        """Where the next chunk begins, in 48 kHz samples."""
        return self._next

    @property
    def delay_ms(self) -> float:
        """How long a missing packet is waited for."""
        return 1000.0 * self._delay_s

    @property
    def deadline_s(self) -> float:
        """When `poll` must be called even if no packet comes."""
        return self.wall_s(self._next) + self._delay_s

    def wall_s(self, position: float) -> float:
        """When the sound that begins at `position` comes (or would) by the fastest path, on the monotonic clock."""
        return self._base_s + position / OPUS_HZ

    def push(self, packet: RtpAudio) -> int | None:
        """Take a packet in.

        Returns:
            Its position on the session clock, or None if it is a duplicate or from nowhere near.
        """
        if packet.ssrc != self._ssrc:
            self._ssrc, self._sequences = packet.ssrc, self._sequences.restart()
            self._move(packet)
        if not self._sequences.add(packet.sequence):
            return None
        self.received += 1
        position = self._clock.position(packet.timestamp)
        if position > self._next + FAR_SAMPLES and position > self._wall_position(packet.arrival_s) + FAR_SAMPLES:
            self._far_run += 1
            if self._far_run < FAR_RUN:
                return None
            position = self._move(packet)
        elif position < self._next:
            self.late += 1
            self._late_since_s = packet.arrival_s if self._late_since_s is None else self._late_since_s
            if packet.arrival_s < self._late_since_s + LATE_FOR_S:
                self._note_arrival(position, packet.arrival_s)
                return position
            position = self._move(packet)
        self._far_run, self._late_since_s = 0, None
        self._note_arrival(position, packet.arrival_s)
        self._waiting[position] = packet
        return position

    def poll(self, now_s: float) -> list[Chunk]:
        """The chunks that can be handed on now."""
        chunks: list[Chunk] = []
        while True:
            packet = self._waiting.pop(self._next, None)
            if packet is not None:
                self._chunk_samples = packet.samples
                self._gap_run = 0
                ready_s = max([packet.arrival_s, *(chunk.ready_s for chunk in chunks[-1:])])
                chunks.append(Chunk(self._next, packet.samples, packet, ready_s))
                self._next += packet.samples
                self._discard_overtaken()
            elif self._next < self._silent_until:
                chunks.append(Chunk(self._next, self._silent_until - self._next, None, now_s))
                self._next = self._silent_until
            elif now_s >= self.deadline_s:
                samples = min([self._chunk_samples, *(p - self._next for p in self._waiting)])
                self._gap_run += 1
                if self._waiting or (self._clock.anchored and self._gap_run <= 5):
                    self.concealed += 1
                chunks.append(Chunk(self._next, samples, None, self.deadline_s))
                self._next += samples
            else:
                return chunks

    @property
    def _delay_s(self) -> float:
        return min(max(self._excess_s + MARGIN_S, self._min_s), self._max_s)

    def _wall_position(self, now_s: float) -> float:
        return (now_s - self._base_s) * OPUS_HZ

    def _move(self, packet: RtpAudio) -> int:
        """Put this packet where the sound so far ends, rounded up to the grid; what is left to it is silent at once."""
        nearest = -(-self._next // GRID_SAMPLES) * GRID_SAMPLES
        offered = nearest, nearest + GRID_SAMPLES
        position = offered[self._place(packet, offered) if self._place else 0]
        self._waiting.clear()
        self._clock.anchor(packet.timestamp, position)
        self._base_s = self._older_s = self._newer_s = packet.arrival_s - position / OPUS_HZ
        self._window_end_s = packet.arrival_s + WINDOW_S
        self._excess_s = 0.0
        self.moved += 1
        self._silent_until = position
        return position

    def _note_arrival(self, position: int, arrival_s: float) -> None:
        transit_s = arrival_s - position / OPUS_HZ
        if arrival_s >= self._window_end_s:
            self._older_s, self._newer_s = self._newer_s, transit_s
            self._window_end_s = arrival_s + WINDOW_S
        self._newer_s = min(self._newer_s, transit_s)
        self._base_s = min(self._older_s, self._newer_s)
        excess_s = transit_s - self._base_s
        self._excess_s = max(excess_s, self._excess_s + DECAY * (excess_s - self._excess_s))

    def _discard_overtaken(self) -> None:
        for position in [p for p in self._waiting if p < self._next]:
            del self._waiting[position]


class _Sequences:
    """Which RTP sequence numbers came: tells duplicates and counts what is missing."""

    def __init__(self, missing_before: int = 0) -> None:
        self._before = missing_before
        self._first: int | None = None
        self._highest = 0
        self._count = 0
        self._recent: deque[int] = deque(maxlen=256)

    @property
    def missing(self) -> int:
        expected = 0 if self._first is None else self._highest - self._first + 1
        return self._before + max(0, expected - self._count)

    def restart(self) -> "_Sequences":
        return _Sequences(self.missing)

    def add(self, sequence: int) -> bool:
        """True if it is new."""
        if self._first is None:
            self._first = self._highest = sequence
        extended = self._highest + (sequence - self._highest + 0x8000) % 0x10000 - 0x8000
        if extended in self._recent:
            return False
        self._recent.append(extended)
        self._first = min(self._first, extended)
        self._highest = max(self._highest, extended)
        self._count += 1
        return True
