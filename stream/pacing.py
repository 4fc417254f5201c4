"""Which frames are due, given how much sound was heard. Pure: no clock, no sleep.

Frame f shows media time 40 f ms and is complete once the sound up to 40 f + look-ahead was heard. The rate of frames
is therefore the rate of the sound, which never stops: where no packet comes the jitter buffer conceals in real time.
"""

from typing import Final

from models.system import FRAME_MS, SAMPLE_RATE_HZ

SAMPLES_PER_MS: Final = SAMPLE_RATE_HZ // 1000


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


def snap(wanted_ms: int, offered_ms: tuple[int, ...]) -> int:
    """The look-ahead nearest to `wanted_ms` that a system was trained for; the shorter of two as near."""
    return min(offered_ms, key=lambda offer: (abs(offer - wanted_ms), offer))
