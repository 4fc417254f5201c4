"""The whole loop without a browser: aiortc peers speak to a real server, and see and hear what comes back.

A peer knows when each of its Opus packets was spoken. The server sends the same packets back, timed by the clock that
its pictures are timed by: so every picture tells which moment of the voice it shows, and how long ago that was. What a
browser adds (its jitter buffers, decoding, the screen) is not in it; the probe has that.
"""

import asyncio
import tempfile
import time
from bisect import bisect_right
from contextlib import AsyncExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import av
import msgpack
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtp import RtpPacket

from benchmarks.errors import NothingSeenError
from benchmarks.harness import Row, latency, latency_row, value_row
from benchmarks.live_server import LiveServer
from benchmarks.plan import Plan
from benchmarks.suite import Part
from models.system import FPS
from stream.hooks import replace
from stream.jitter import RtpAudio
from stream.probe_sound import RATE_HZ, syllable_clips
from stream.receive import tap_audio
from stream.send import RtpOut

PEERS: Final = (1, 2, 4)
SECONDS: Final = 20.0
WARM_UP_S: Final = 2.0
_PACKET_S: Final = 0.02
_PACKET_SAMPLES: Final = RATE_HZ // 50
_CLOCK_HZ: Final = 90_000
_CIRCLE: Final = 1 << 32


def parts(plan: Plan) -> list[Part]:
    """A part for each number of peers."""
    return [Part(f"{peers} at once", lambda peers=peers: _measured(peers, plan.seconds or SECONDS)) for peers in PEERS]


def _measured(peers: int, seconds: float) -> list[Row]:
    with (
        tempfile.TemporaryDirectory() as data_dir,
        LiveServer(Path(data_dir), ["--max-sessions", str(peers)]) as server,
    ):
        lags_s, lowered = asyncio.run(_converse(server, peers, seconds))
    name, wanted = f"{peers} at once", FPS * peers * (seconds - WARM_UP_S)
    missing_percent = max(0.0, 100.0 * (1.0 - len(lags_s) / wanted))
    return [
        latency_row("loop", f"{name}, mic to picture received", latency([1000.0 * lag_s for lag_s in lags_s])),
        value_row("loop", f"{name}, pictures missing", "%", round(missing_percent, 2)),
        value_row("loop", f"{name}, time at less than full quality", "%", round(100.0 * lowered, 1)),
    ]


async def _converse(server: LiveServer, peers: int, seconds: float) -> tuple[list[float], float]:
    """Let peers speak at the same time.

    Returns:
        The lags of all their pictures after the warm-up, s, repeated pictures included; and in what share of the time
        the server was too busy for full quality, 0 to 1.
    """
    async with AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(Peer(server)) for _ in range(peers)]
        packets = await asyncio.to_thread(_opus, seconds)
        await asyncio.gather(*(caller.speak(packets) for caller in callers))
        lags_s = [lag_s for caller in callers for lag_s in caller.lags_s(WARM_UP_S)]
        lowered = sum(caller.lowered_s for caller in callers) / (peers * seconds)
    if not lags_s:
        raise NothingSeenError("pictures")
    return lags_s, lowered


class Peer:
    """One caller. Connected inside `async with`.

    Attributes:
        lowered_s: For how much of what it said it was told to see less than full quality.
    """

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._hello: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._spoken_s: dict[bytes, float] = {}
        self._heard: list[tuple[int, bytes]] = []
        self._seen: list[tuple[int, float]] = []
        self.lowered_s = 0.0
        self._low_since_s: float | None = None

    async def __aenter__(self) -> Self:
        microphone = self._connection.addTransceiver("audio", direction="sendrecv")
        screen = self._connection.addTransceiver("video", direction="recvonly")
        self._voice = RtpOut(microphone.sender, low_delay=False)
        tap_audio(microphone.receiver, self._hear)
        _tap_video(screen.receiver, self._seen)
        self._connection.createDataChannel("control").on("message", self._note)
        await self._connection.setLocalDescription(await self._connection.createOffer())
        offer = {"sdp": self._connection.localDescription.sdp, "type": "offer"}
        answer = await asyncio.to_thread(self._server.post, "/v1/sessions", offer)
        await self._connection.setRemoteDescription(RTCSessionDescription(str(answer["sdp"]), "answer"))
        await asyncio.wait_for(asyncio.gather(self._voice.up.wait(), self._hello), 20)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def speak(self, packets: list[bytes]) -> None:
        """Send packets of 20 ms, each when it would have been spoken."""
        began_s = time.monotonic()
        self.lowered_s, self._low_since_s = 0.0, None if self._low_since_s is None else began_s
        for number, payload in enumerate(packets):
            ended_s = began_s + (number + 1) * _PACKET_S
            await asyncio.sleep(ended_s - time.monotonic())
            self._spoken_s[payload] = ended_s - _PACKET_S
            await self._voice.send([payload], _PACKET_SAMPLES * number, capture_s=ended_s)
        self._mark("full")
        await asyncio.sleep(1.0)  # for what is under way

    def lags_s(self, skipped_s: float) -> list[float]:
        """From the moment of the voice that a picture shows until its last packet came, without the first pictures."""
        hello = self._hello.result()
        began: list[tuple[float, float]] = []  # media time of a packet that came back, and when media time 0 was
        for timestamp, payload in self._heard:
            media_s = (timestamp - hello["audio_rtp_origin"]) % _CIRCLE / RATE_HZ
            began.append((media_s, self._spoken_s[payload] - media_s))
        began.sort()
        lags_s: list[float] = []
        for timestamp, came_s in self._seen:
            media_s = (timestamp - hello["video_rtp_origin"]) % _CIRCLE / _CLOCK_HZ
            at = bisect_right(began, (media_s, float("inf"))) - 1
            if at >= 0 and began[0][0] + skipped_s <= media_s <= began[-1][0]:
                lags_s.append(came_s - began[at][1] - media_s)
        return lags_s

    def _hear(self, packet: RtpAudio) -> None:
        if packet.payload in self._spoken_s:
            self._heard.append((packet.timestamp, packet.payload))

    def _note(self, message: bytes) -> None:
        told = msgpack.unpackb(message)
        if told["t"] == "hello" and not self._hello.done():
            self._hello.set_result(told)
        if told["t"] == "notice" and told["code"] == "quality":
            self._mark(told["rung"])

    def _mark(self, rung: str) -> None:
        """From now on the quality is another."""
        if self._low_since_s is not None:
            self.lowered_s += time.monotonic() - self._low_since_s
        self._low_since_s = None if rung == "full" else time.monotonic()


def _tap_video(receiver: RTCRtpReceiver, seen: list[tuple[int, float]]) -> None:
    """Note timestamp and time of each picture's last packet: aiortc's own buffer would wait for the next picture."""

    class Tap:
        def add(self, packet: RtpPacket) -> tuple[bool, None]:
            if packet.marker:
                seen.append((packet.timestamp, time.monotonic()))
            return False, None

    replace(receiver, "_RTCRtpReceiver__jitter_buffer", Tap(), JitterBuffer)


def _opus(seconds: float) -> list[bytes]:
    """Made-up syllables as Opus packets of 20 ms, no two alike."""
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format = RATE_HZ, "mono", "s16"
    codec.time_base = Fraction(1, RATE_HZ)
    clips = syllable_clips(4 * round(seconds))  # of half a second and more
    sound = np.concatenate([clip.samples for clip in clips])[: round(seconds * FPS) * 2 * _PACKET_SAMPLES]
    packets: list[bytes] = []
    for number, block in enumerate((sound * 32767).astype(np.int16).reshape(-1, _PACKET_SAMPLES)):
        frame = av.AudioFrame.from_ndarray(block[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE_HZ, number * _PACKET_SAMPLES
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return packets
