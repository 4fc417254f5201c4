"""The caller's own packets, sent back when the face of the same media time is. Pure: time is an argument.

As a rule the voice waits for the face. A browser that has met a stall may play the voice out of so deep a buffer that
it comes after the face however soon it is sent: then the face waits, by `face_hold_s`.

Nothing is decoded: a packet goes back as it came, with its place on the session clock as its timestamp, so it costs
nothing, loses nothing and cannot click. When the delay moves, the browser's own buffer stretches the sound.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from stream.jitter import RtpAudio

MAX_PACKETS: Final = 128
MAX_DELAY_S: Final = 1.0
SMOOTH: Final = 0.04
"""Share of each new frame in the mean of the face's lag: a second at 25 fps."""
SLEW: Final = 0.05
"""The delay moves by at most so many seconds a second, which no ear notices."""
TRIM_SHARE: Final = 0.5
MAX_TRIM_S: Final = 0.3
MAX_HOLD_S: Final = 0.08
UNSEEN_S: Final = 0.015
"""A face that is ahead of its voice by no more than this is not held: nobody sees it, and holding costs latency."""
EARLY_S: Final = 0.01
"""Before its deadline a repeated frame leaves: the event loop wakes late, and a packet takes a while to go."""
MAX_SKIP: Final = 50


@dataclass(frozen=True)
class VoicePacket:
    """One packet that is due.

    Attributes:
        position: Its media time in 48 kHz samples: its RTP timestamp.
        payload: Opus.
        skip: How many packets were lost before it.
        marker: The sound before it was not contiguous.
    """

    position: int
    payload: bytes
    skip: int
    marker: bool


class VoiceLine:
    """Holds the caller's packets until the face is ready.

    Attributes:
        dropped: Packets that came after a later one had been sent, or when the line was full.
    """

    def __init__(self, lag_s: float, *, trim_s: float = 0.0) -> None:
        """Begin with a guess at the face's lag, and one at what the browser's reports will take off or add."""
        self.dropped = 0
        self._behind_s = lag_s + trim_s  # how long the voice waits for the face; negative: the face for the voice
        self._lag_s = lag_s
        self._trim_s = trim_s
        self._slewed_s: float | None = None
        self._line: list[tuple[int, int, RtpAudio]] = []
        self._sent_end = -1
        self._sent_sequence: int | None = None

    @property
    def delay_s(self) -> float:
        """From the arrival of a sound (by the fastest path) until it is sent back, 0 to 1."""
        return max(0.0, self._behind_s)

    @property
    def face_hold_s(self) -> float:
        """How much later than usual a frame is to be sent, 0 to 0.08."""
        return max(0.0, -self._behind_s)

    def face_due_s(self, capture_s: float, *, repeated_by_s: float | None = None) -> float:
        """When to send the frame whose sound came in at `capture_s`; one that took long to draw waits less.

        One that is repeated, not drawn, comes when a drawn one would: or a browser sees an uneven stream, and the
        voice, which waits for what moves, seems late. But it is not late itself: `repeated_by_s` is its own deadline.
        """
        usual_s = capture_s + self._lag_s + self.face_hold_s
        if repeated_by_s is not None:
            return min(usual_s, repeated_by_s + self.face_hold_s - EARLY_S)
        return usual_s if self.face_hold_s else capture_s

    def push(self, packet: RtpAudio, position: int) -> None:
        """Take a packet whose sound begins at `position` (48 kHz)."""
        if position < self._sent_end:
            self.dropped += 1
            return
        heapq.heappush(self._line, (position, packet.sequence, packet))
        if len(self._line) > MAX_PACKETS:
            heapq.heappop(self._line)
            self.dropped += 1

    def note_face(self, lag_s: float) -> None:
        """A frame was ready `lag_s` after the sound at its media time came in."""
        lag_s = min(max(lag_s, 0.0), MAX_DELAY_S)
        self._lag_s += SMOOTH * (lag_s - self._lag_s)

    def trim(self, late_ms: float) -> None:
        """The browser hears the voice `late_ms` after it sees the face (negative: before): correct half of it."""
        late_s = late_ms / 1000.0
        if late_s > 0.0 and self._lag_s + self._trim_s <= 0.0:  # a voice cannot be sent before it came
            late_s = max(0.0, late_s - UNSEEN_S)
        trim_s = self._trim_s - TRIM_SHARE * late_s
        self._trim_s = min(max(trim_s, -MAX_TRIM_S, -self._lag_s - MAX_HOLD_S), MAX_TRIM_S)

    def clear(self) -> None:
        """Send nothing of what waits."""
        self._line.clear()

    def deadline_s(self, wall_s: Callable[[float], float]) -> float | None:
        """When the first packet is due; None if none waits. `wall_s` as in `due`."""
        return wall_s(self._line[0][0]) + self.delay_s if self._line else None

    def due(self, now_s: float, wall_s: Callable[[float], float]) -> list[VoicePacket]:
        """The packets to be sent now, in order.

        Args:
            now_s: On the monotonic clock.
            wall_s: When the sound at a position came in (`JitterBuffer.wall_s`).
        """
        self._slew(now_s)
        packets: list[VoicePacket] = []
        while self._line and wall_s(self._line[0][0]) + self.delay_s <= now_s:
            position, sequence, packet = heapq.heappop(self._line)
            if position < self._sent_end:
                self.dropped += 1
                continue
            skip = 0 if self._sent_sequence is None else (sequence - self._sent_sequence - 1) % 0x10000
            packets.append(
                VoicePacket(position, packet.payload, skip if skip < MAX_SKIP else 0, position != self._sent_end)
            )
            self._sent_end, self._sent_sequence = position + packet.samples, sequence
        return packets

    def _slew(self, now_s: float) -> None:
        room_s = SLEW * (now_s - self._slewed_s) if self._slewed_s is not None else MAX_DELAY_S
        wanted_s = min(max(self._lag_s + self._trim_s, -MAX_HOLD_S), MAX_DELAY_S)
        self._behind_s += min(max(wanted_s - self._behind_s, -room_s), room_s)
        self._slewed_s = now_s
