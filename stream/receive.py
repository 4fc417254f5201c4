"""The one adapter to aiortc's receiver: RTP packets straight from the transport, with no prefetch.

aiortc hands every audio packet to a jitter buffer that holds back four of them (80 ms). That buffer is replaced by a
tap, which passes the packet on and keeps nothing. RTCP reports, codec checks and shutdown stay aiortc's.
"""

import time
from collections.abc import Callable

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterBuffer as AiortcJitterBuffer
from aiortc.rtp import RtpPacket

from stream.hooks import private, replace
from stream.jitter import RtpAudio
from stream.opus import packet_samples


def tap_audio(
    receiver: RTCRtpReceiver, hear: Callable[[RtpAudio], None], now_s: Callable[[], float] = time.monotonic
) -> None:
    """Call `hear` on the event loop for every Opus packet, as soon as it was decrypted. Call before packets flow.

    Packets that are not Opus (empty, malformed) are left out.

    Raises:
        AiortcMovedError: If aiortc's receiver has no jitter buffer to replace.
    """
    replace(receiver, "_RTCRtpReceiver__jitter_buffer", _Tap(hear, now_s), AiortcJitterBuffer)


def datagrams_received(receiver: RTCRtpReceiver) -> int:
    """How many datagrams of any sort (RTP, RTCP, DTLS) the receiver's transport has had: a live peer sends reports
    at least every few seconds, even while it is silent.

    Raises:
        AiortcMovedError: If aiortc does not count them any more.
    """
    return private(receiver.transport, "_RTCDtlsTransport__rx_packets", int)


class _Tap:
    """Stands where aiortc's `JitterBuffer` stood."""

    def __init__(self, hear: Callable[[RtpAudio], None], now_s: Callable[[], float]) -> None:
        self._hear = hear
        self._now_s = now_s

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        samples = packet_samples(packet.payload)
        if samples:
            arrival_s = self._now_s()
            self._hear(
                RtpAudio(packet.ssrc, packet.sequence_number, packet.timestamp, packet.payload, samples, arrival_s)
            )
        return False, None  # no key frame to ask for, no frame for aiortc's own decoder
