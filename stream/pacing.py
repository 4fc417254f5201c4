"""Which frames are due, given how much sound was heard. Pure: no clock, no sleep.

Frame f shows media time 40 f ms and is complete once the sound up to 40 f + look-ahead was heard. The rate of frames
is therefore the rate of the sound, which never stops: where no packet comes the jitter buffer conceals in real time.
"""

from collections.abc import Hashable, Sequence
from typing import Final, Generic, TypeVar

from models.system import FRAME_MS, SAMPLE_RATE_HZ

SAMPLES_PER_MS: Final = SAMPLE_RATE_HZ // 1000

K = TypeVar("K", bound=Hashable)


class Pacer:
    """Hands out every frame number once, in order, as soon as its sound is complete.

    Attributes:
        lookahead_ms: How much sound after its media time a frame waits for; may change at any time.
        next_frame: The next number to be handed out.
    """

    def __init__(self, lookahead_ms: int) -> None:
        self.lookahead_ms = lookahead_ms
        self.next_frame = 0

    def due(self, heard_samples: int) -> range:
        """The frames that have become complete now that `heard_samples` (16 kHz, from media time 0) were heard."""
        newest = (heard_samples // SAMPLES_PER_MS - self.lookahead_ms) // FRAME_MS
        frames = range(self.next_frame, max(self.next_frame, newest + 1))
        self.next_frame = frames.stop
        return frames


def sound_end(frame: int, lookahead_ms: int) -> int:
    """The 16 kHz sample before which the sound of `frame` is complete."""
    return SAMPLES_PER_MS * (FRAME_MS * frame + lookahead_ms)


def frame_wait_s(end_48k: int, packet_48k: int, lookahead_ms: int) -> float:
    """How long after a packet another one completes the sound of a frame, 0 if it does so itself.

    Args:
        end_48k: Where the packet ends, in 48 kHz samples.
        packet_48k: The length of each packet.
        lookahead_ms: Of the frames.
    """
    frame_48k = 48 * FRAME_MS
    missing = (48 * lookahead_ms - end_48k) % frame_48k
    return -(-missing // packet_48k) * packet_48k / 48_000


def snap(wanted_ms: int, offered_ms: tuple[int, ...]) -> int:
    """The look-ahead nearest to `wanted_ms` that a system was trained for; the shorter of two as near."""
    return min(offered_ms, key=lambda offer: (abs(offer - wanted_ms), offer))


class Phases(Generic[K]):
    """When in each period the members of a crowd come, so that a new one can come when the others do not."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._phases_s: dict[K, float] = {}

    def note(self, who: K, at_s: float) -> None:
        """A member came."""
        self._phases_s[who] = at_s % self._period_s

    def all_s(self) -> list[float]:
        """When the members come, each from 0 to the period."""
        return list(self._phases_s.values())

    def forget(self, who: K) -> None:
        """A member comes no more."""
        self._phases_s.pop(who, None)

    def roomiest(self, times_s: Sequence[float], who: K) -> int:
        """Which of the times at which `who` could come lies farthest from all others; the first of those as far."""
        others_s = [phase_s for other, phase_s in self._phases_s.items() if other != who]
        return max(range(len(times_s)), key=lambda n: min((self._apart_s(times_s[n], o) for o in others_s), default=0))

    def _apart_s(self, one_s: float, other_s: float) -> float:
        gap_s = (one_s - other_s) % self._period_s
        return min(gap_s, self._period_s - gap_s)
