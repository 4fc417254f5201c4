"""From RTP packets to an unbroken line of 16 kHz sound. No asyncio: the session says when."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.clock import OPUS_HZ
from stream.conceal import Concealer
from stream.jitter import Chunk, JitterBuffer, RtpAudio
from stream.onset import OnsetDetector
from stream.opus import Downsampler, OpusVoice
from stream.pacing import SAMPLES_PER_MS
from stream.ring import AudioRing

RING_SAMPLES: Final = 4 * 16_000
DOWN: Final = OPUS_HZ // (1000 * SAMPLES_PER_MS)


@dataclass(frozen=True)
class Heard:
    """What one step of listening brought.

    Attributes:
        received_s: When the newest sound came in (or was given up), on the monotonic clock.
        onsets_ms: Media times at which the caller's voice began.
    """

    received_s: float
    onsets_ms: tuple[float, ...]


class Ear:
    """One caller's voice.

    Attributes:
        jitter: Reorders and waits.
        ring: The last four seconds at 16 kHz; `ring.end` is how much was heard.
        last_packet_s: When the newest packet came.
    """

    def __init__(self, now_s: float, place: Callable[[RtpAudio, tuple[int, int]], int] | None = None) -> None:
        """Begin in silence. `place` as for `JitterBuffer`."""
        self._place = place
        self.jitter = JitterBuffer(now_s, place=place)
        self.ring = AudioRing(RING_SAMPLES)
        self.last_packet_s = now_s
        self._opus = OpusVoice()
        self._down = Downsampler()
        self._conceal = Concealer()
        self._onsets = OnsetDetector()

    @property
    def heard_ms(self) -> float:
        """Media time up to which there is sound."""
        return self.ring.end / SAMPLES_PER_MS

    def start(self, now_s: float) -> None:
        """Let media time 0 be now, and forget the packets that came before. Call before the first `listen`."""
        self.jitter = JitterBuffer(now_s, place=self._place)

    def wall_s(self, position: float) -> float:
        """When the sound at a 48 kHz position comes by the fastest path, on the monotonic clock."""
        return self.jitter.wall_s(position)

    def take(self, packet: RtpAudio) -> int | None:
        """Take in a packet; returns its position on the session clock, None if it is to be ignored."""
        self.last_packet_s = packet.arrival_s
        return self.jitter.push(packet)

    def listen(self, now_s: float) -> Heard | None:
        """Hear all that is ready by now; None if nothing is."""
        chunks = self.jitter.poll(now_s)
        onsets: list[float] = []
        for chunk in chunks:
            sound = self._sound(chunk)
            self.ring.write(sound)
            onsets += self._onsets.push(sound)
        return Heard(chunks[-1].ready_s, tuple(onsets)) if chunks else None

    def _sound(self, chunk: Chunk) -> NDArray[np.float32]:
        if chunk.packet is None:
            return self._conceal.fill(chunk.samples // DOWN)
        return self._conceal.hear(self._down.push(self._opus.decode(chunk.packet.payload, chunk.samples)))
