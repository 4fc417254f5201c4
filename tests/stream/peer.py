"""A caller made of aiortc: speaks scripted Opus packets, and records what comes back with its media time."""

import asyncio
import time
from dataclasses import dataclass, field
from fractions import Fraction

import av
import msgpack
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs.vpx import Vp8Decoder
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket

from stream.send import ABS_CAPTURE_TIME, PLAYOUT_DELAY


def opus_packets(sound_48k: np.ndarray, packet_ms: int = 20) -> list[bytes]:
    """Encode sound at 48 kHz, [n] or [n, 2] (stereo) float, to Opus packets."""
    layout = "stereo" if sound_48k.ndim == 2 else "mono"
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format = 48_000, layout, "s16"
    codec.options = {"frame_duration": str(packet_ms), "application": "voip"}
    codec.time_base = Fraction(1, 48_000)
    size = 48 * packet_ms
    packets = []
    for index in range(len(sound_48k) // size):
        block = (sound_48k[index * size : (index + 1) * size] * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout=layout)
        frame.sample_rate, frame.pts = 48_000, index * size
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return packets


@dataclass
class Seen:
    """One video frame: its RTP timestamp, when its last packet came, its mean colour, its extensions' bytes."""

    timestamp: int
    at_s: float
    rgb: tuple[float, float, float]


@dataclass
class Caller:
    """One browser's worth of aiortc."""

    connection: RTCPeerConnection = field(default_factory=lambda: RTCPeerConnection(RTCConfiguration(iceServers=[])))
    frames: list[Seen] = field(default_factory=list)
    voice: list[tuple[int, float, bytes]] = field(default_factory=list)
    messages: list[dict] = field(default_factory=list)

    async def offer(self) -> str:
        self.microphone = self.connection.addTransceiver("audio", direction="sendrecv")
        self.video = self.connection.addTransceiver("video", direction="recvonly")
        self.control = self.connection.createDataChannel("control")
        self.control.on("message", lambda data: self.messages.append(msgpack.unpackb(data)))
        await self.connection.setLocalDescription(await self.connection.createOffer())
        sdp = self.connection.localDescription.sdp
        extra = f"a=extmap:11 {PLAYOUT_DELAY}\r\na=extmap:12 {ABS_CAPTURE_TIME}\r\n"
        head, video = sdp.split("m=video", 1)
        return head + "m=video" + video.replace("a=rtpmap", extra + "a=rtpmap", 1)

    async def accept(self, answer_sdp: str) -> None:
        sender = self.microphone.sender
        sender._run_rtp = self._idle_rtp  # we send the packets ourselves
        await self.connection.setRemoteDescription(RTCSessionDescription(answer_sdp, "answer"))
        self._tap(self.video.receiver, self._take_video)
        self._tap(self.microphone.receiver, lambda p: self.voice.append((p.timestamp, time.monotonic(), p.payload)))
        async with asyncio.timeout(20):
            while self.connection.connectionState != "connected" or self.control.readyState != "open":  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def tell(self, **message) -> None:
        self.control.send(msgpack.packb(message))

    def said(self, kind: str) -> list[dict]:
        return [message for message in self.messages if message["t"] == kind]

    async def until(self, condition, seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def media_ms(self, seen: Seen) -> float:
        origin = self.said("hello")[0]["video_rtp_origin"]
        return (seen.timestamp - origin) % (1 << 32) / 90

    def voice_ms(self, timestamp: int) -> float:
        return (timestamp - self.said("hello")[0]["audio_rtp_origin"]) % (1 << 32) / 48

    async def speak(
        self, packets: list[bytes], *, packet_ms: int = 20, first_timestamp: int = 4_294_960_000, plan=None
    ):
        """Send packets in real time; `plan` maps their number to extra delay in s, or None for a lost one."""
        start = time.monotonic()
        line = []
        for number, payload in enumerate(packets):
            extra = plan(number) if plan else 0.0
            if extra is not None:
                line.append((start + (number + 1) * packet_ms / 1000 + extra, number, payload))
        for at, number, payload in sorted(line):
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            await self.send(payload, number, first_timestamp + 48 * packet_ms * number)

    async def send(self, payload: bytes, sequence: int, timestamp: int) -> None:
        sender = self.microphone.sender
        packet = RtpPacket(self.payload_type, 0, (65_000 + sequence) % 65_536, timestamp % (1 << 32), sender._ssrc)
        packet.payload = payload
        await sender.transport._send_rtp(packet.serialize())

    async def close(self) -> None:
        await self.connection.close()

    async def _idle_rtp(self, codec) -> None:
        self.payload_type = codec.payloadType
        sender = self.microphone.sender
        sender._RTCRtpSender__rtp_started.set()
        try:
            await asyncio.Event().wait()
        finally:
            sender._RTCRtpSender__rtp_exited.set()

    def _tap(self, receiver, take) -> None:
        class Tap:
            def add(self, packet):
                take(packet)
                return False, None

        receiver._RTCRtpReceiver__jitter_buffer = Tap()

    def _take_video(self, packet) -> None:
        if packet.payload[0] & 0x10:
            self._parts = b""
        self._parts = getattr(self, "_parts", b"") + packet._data
        if packet.marker:
            self._decoder = getattr(self, "_decoder", None) or Vp8Decoder()
            for picture in self._decoder.decode(JitterFrame(self._parts, packet.timestamp)):
                rgb = picture.to_ndarray(format="rgb24").reshape(-1, 3).mean(axis=0) / 255
                self.frames.append(Seen(packet.timestamp, time.monotonic(), tuple(rgb)))
