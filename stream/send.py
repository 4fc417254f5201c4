"""The one adapter to aiortc's sender: ready payloads out at once, with our own timestamps and header extensions.

aiortc pulls frames from a track, encodes them and picks a secret timestamp origin. Its RTP loop is replaced by one that
only says that the transport is up; payloads are sent when they are made, by whoever made them. Sender reports,
retransmission on NACK, the DTLS transport and shutdown stay aiortc's.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final

from aiortc import RTCRtpSender
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpParameters
from aiortc.rtp import (
    RTP_HISTORY_SIZE,
    HeaderExtensions,
    HeaderExtensionsMap,
    RtpPacket,
    pack_header_extensions,
    unpack_header_extensions,
)

from stream.hooks import coroutine, private, replace

PLAYOUT_DELAY: Final = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
ABS_CAPTURE_TIME: Final = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
NO_PLAYOUT_DELAY: Final = b"\x00\x00\x00"
"""Least and greatest playout delay, 12 bits each, both 0: show every frame as soon as it is decoded."""
COUNTERS: Final = tuple(
    f"_RTCRtpSender__{name}" for name in ("ntp_timestamp", "rtp_timestamp", "octet_count", "packet_count")
)
NTP_EPOCH_S: Final = 2_208_988_800


def ntp(unix_s: float) -> int:
    """Seconds since 1970 as a 64-bit NTP time."""
    return int((unix_s + NTP_EPOCH_S) * (1 << 32))


@dataclass
class _Values(HeaderExtensions):
    playout_delay: bytes | None = None
    abs_capture_time: bytes | None = None


class _Map(HeaderExtensionsMap):
    """aiortc's map of extension numbers, with two more extensions."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[str, int] = {}

    def configure(self, parameters: RTCRtpParameters) -> None:
        super().configure(parameters)
        self._numbers |= {extension.uri: extension.id for extension in parameters.headerExtensions}

    def set(self, values: HeaderExtensions) -> tuple[int, bytes]:
        profile, packed = super().set(values)
        ours: list[tuple[int, bytes]] = []
        if isinstance(values, _Values):
            wanted = ((PLAYOUT_DELAY, values.playout_delay), (ABS_CAPTURE_TIME, values.abs_capture_time))
            ours = [(self._numbers[uri], value) for uri, value in wanted if value and uri in self._numbers]
        if not ours:
            return profile, packed
        return pack_header_extensions([*unpack_header_extensions(profile, packed), *ours])


class _BitrateDial:
    """Stands where aiortc's encoder stood: takes the bitrate that the receiver believes the network carries."""

    def __init__(self) -> None:
        self.target_bitrate = 0


class RtpOut:
    """One outgoing RTP stream.

    Attributes:
        origin: RTP timestamp of media time 0, 32 bit.
        up: Set while payloads can be sent; before and after, `send` drops them.
    """

    def __init__(self, sender: RTCRtpSender, *, low_delay: bool, now_s: Callable[[], float] = time.monotonic) -> None:
        """Take over a sender that aiortc has not started yet.

        Args:
            sender: Of a transceiver that has no track.
            low_delay: Send the playout-delay extension (video).
            now_s: Clock of `capture_s` in `send`.

        Raises:
            AiortcMovedError: If aiortc's sender is not what this file was written for.
        """
        self.origin = secrets.randbits(32)
        self.up = asyncio.Event()
        self._sender = sender
        self._low_delay = low_delay
        self._now_s = now_s
        self._payload_type = 0
        self._put = coroutine(sender.transport, "_send_rtp")  # of the bundled transport, once that is known
        self._sequence = secrets.randbits(15)  # the lower half: SRTP dislikes an early wrap
        self._packets = self._octets = 0
        self._key_wanted = False
        self._dial = _BitrateDial()
        self._extensions = _Map()
        self._history: dict[int, RtpPacket] = private(sender, "_RTCRtpSender__rtp_history", dict)
        self._started = private(sender, "_RTCRtpSender__rtp_started", asyncio.Event)
        self._exited = private(sender, "_RTCRtpSender__rtp_exited", asyncio.Event)
        replace(sender, "_run_rtp", self._run_rtp)
        replace(sender, "_send_keyframe", self.want_key)
        replace(sender, "_RTCRtpSender__encoder", self._dial, type(None))
        replace(sender, "_RTCRtpSender__rtp_header_extensions_map", self._extensions, HeaderExtensionsMap)
        for counter in COUNTERS:
            private(sender, counter, int)

    def take_key_request(self) -> bool:
        """True once after each request of the receiver for a key frame (PLI, FIR)."""
        wanted, self._key_wanted = self._key_wanted, False
        return wanted

    def want_key(self, wanted: bool = True) -> None:
        """Ask for a key frame, as the receiver does."""
        self._key_wanted = self._key_wanted or wanted

    @property
    def believed_bitrate(self) -> int:
        """Bits per second that the receiver believes the network carries (REMB); 0 if it has not said."""
        return self._dial.target_bitrate

    async def send(
        self, payloads: Sequence[bytes], timestamp: int, *, capture_s: float, marker: bool = True, skip: int = 0
    ) -> bool:
        """Send the payloads of one frame now.

        Args:
            payloads: In order.
            timestamp: Media time in units of the clock rate; the origin is added here.
            capture_s: When its sound came in, for abs-capture-time.
            marker: Set the marker bit on the last packet.
            skip: Sequence numbers to leave out before it, so that the receiver sees a loss.

        Returns:
            False if the transport is not up.
        """
        if not self.up.is_set():
            return False
        self._sequence = (self._sequence + skip) % 0x10000
        capture = ntp(time.time() + capture_s - self._now_s())
        for index, payload in enumerate(payloads):
            last = index == len(payloads) - 1
            packet = self._packet(payload, timestamp, capture, marker=marker and last)
            try:
                await self._put(packet.serialize(self._extensions))
            except ConnectionError:
                self.up.clear()
                return False
            self._count(packet)
        return True

    def _packet(self, payload: bytes, timestamp: int, capture: int, *, marker: bool) -> RtpPacket:
        packet = RtpPacket(
            payload_type=self._payload_type,
            marker=int(marker),
            sequence_number=self._sequence,
            timestamp=(self.origin + timestamp) % (1 << 32),
            ssrc=private(self._sender, "_ssrc", int),
            payload=payload,
        )
        packet.extensions = _Values(
            abs_send_time=(ntp(time.time()) >> 14) & 0xFFFFFF,
            mid=getattr(self._sender, "_RTCRtpSender__mid", None),
            playout_delay=NO_PLAYOUT_DELAY if self._low_delay else None,
            abs_capture_time=capture.to_bytes(8, "big"),
        )
        self._sequence = (self._sequence + 1) % 0x10000
        return packet

    def _count(self, packet: RtpPacket) -> None:
        self._history[packet.sequence_number % RTP_HISTORY_SIZE] = packet
        self._packets += 1
        self._octets += len(packet.payload)
        report = (ntp(time.time()), packet.timestamp, self._octets, self._packets)  # what sender reports say
        for counter, value in zip(COUNTERS, report, strict=True):
            setattr(self._sender, counter, value)

    async def _run_rtp(self, codec: RTCRtpCodecParameters) -> None:
        """aiortc starts this when the transport is up and cancels it at the end."""
        self._payload_type = codec.payloadType or 0
        self._put = coroutine(self._sender.transport, "_send_rtp")
        self._started.set()
        self.up.set()
        self._key_wanted = True
        try:
            await asyncio.Event().wait()
        finally:
            self.up.clear()
            self._exited.set()


assert {"abs_send_time", "mid"} <= {field.name for field in fields(HeaderExtensions)}  # names used above
