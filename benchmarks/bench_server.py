"""The whole server with a real browser: latency, steadiness, memory, and what 50 visitors leave behind."""

import asyncio
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from aiortc import AudioStreamTrack, MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from av import AudioFrame

from benchmarks.errors import NothingSeenError
from benchmarks.harness import Row, value_row
from benchmarks.live_server import LiveServer
from stream.probe import ProbeConfig, measure
from stream.probe_report import Percentiles, Report
from stream.stats import RING

MIC_TO_SCREEN_P50_MS: Final = 154.0
MIC_TO_SCREEN_P95_MS: Final = 200.0
LATE_PERCENT: Final = 0.5
CLOSED_MS: Final = 200.0
DRIFT_MS: Final = 20.0
OFFSET_MS: Final = 40.0
RESIDENT_MB: Final = 1200.0
GROWTH_MB: Final = 20.0
CYCLES: Final = 50
WARM_UP_CYCLES: Final = 10


def run(seconds: float = 60.0) -> list[Row]:
    """Rows of one probe of `seconds` and of 50 connections after it."""
    with _server() as server:
        result = measure(ProbeConfig(url=server.url, seconds=seconds))
        rows = probe_rows(result)
        rows.append(value_row("server", "ready after", "s", round(server.ready_s, 1), 10.0))
        rows.append(value_row("server", "resident after one session", "MB", round(server.resident_mb, 1), RESIDENT_MB))
        asyncio.run(_visit(server, WARM_UP_CYCLES))
        before_mb = server.resident_mb
        asyncio.run(_visit(server, CYCLES))
        growth_mb = round(server.resident_mb - before_mb, 1)
        rows.append(value_row("server", f"growth over {CYCLES} connections", "MB", growth_mb, GROWTH_MB))
    return rows


def soak(seconds: float = 600.0) -> list[Row]:
    """Rows of one long probe: steadiness, drift, memory."""
    with _server() as server:
        result = measure(ProbeConfig(url=server.url, seconds=seconds))
        rows = probe_rows(result)
        rows.append(value_row("server", "resident after the run", "MB", round(server.resident_mb, 1), RESIDENT_MB))
    return rows


@contextmanager
def _server() -> Generator[LiveServer]:
    with tempfile.TemporaryDirectory() as data_dir, LiveServer(Path(data_dir)) as server:
        yield server


def probe_rows(result: Report) -> list[Row]:
    """What the browser saw, and the server's own stages, those of "call"."""

    def row(name: str, taken: Percentiles, limit: float | None = None, limit_of: str = "p50") -> Row:
        if taken.p50 is None:
            raise NothingSeenError(name)
        return Row("server", name, "ms", taken.p50, taken.p95, taken.p99, taken.n, limit, limit_of)

    def value(name: str, unit: str, taken: float | None, limit: float | None = None) -> Row:
        if taken is None:
            raise NothingSeenError(name)
        return value_row("server", f"{name}, {result.seconds:.0f} s", unit, taken, limit)

    return [
        row("mic to screen", result.mic_to_screen_ms, MIC_TO_SCREEN_P50_MS),
        row("mic to screen, p95", result.mic_to_screen_ms, MIC_TO_SCREEN_P95_MS, "p95"),
        row("mic to first motion", result.first_motion_ms),
        row("speech end to mouth at rest", result.closed_after_ms, CLOSED_MS, "p95"),
        row("mic to screen, every frame", result.media_to_screen_ms),
        row("A/V offset, size", result.av_abs_offset_ms, OFFSET_MS, "p95"),
        value("A/V drift", "ms", abs(result.av_drift_ms) if result.av_drift_ms is not None else None, DRIFT_MS),
        value("frames on screen", "fps", result.fps),
        value("late or missing on screen", "%", result.late_on_screen_percent, LATE_PERCENT),
        value("sent after the next was due, or dropped", "%", result.late_or_dropped_percent),
        value("freezes over 100 ms", "", float(result.freezes)),
        *_stages(result.server),
    ]


def _stages(told: dict[str, Any]) -> list[Row]:
    """How long each stage took in the server, by the statistics that it told last."""
    count = min(int(told["sent"]), RING)
    took = {name: at for name, at in told["stages"].items() if at}
    total = took.pop("total")
    rows = [Row("server", "sound in to picture out", "ms", total["p50"], total["p95"], total["p99"], count)]
    return rows + [
        Row("call", f"newest pictures, {n}", "ms", t["p50"], t["p95"], t["p99"], count) for n, t in took.items()
    ]


async def _visit(server: LiveServer, times: int) -> None:
    """Connect, take some pictures, leave: `times` times."""
    for _ in range(times):
        peer = RTCPeerConnection()
        peer.addTrack(Hum())
        peer.addTransceiver("video", direction="recvonly")
        pictures: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()

        @peer.on("track")
        def keep(track: MediaStreamTrack, pictures: asyncio.Queue[MediaStreamTrack] = pictures) -> None:
            if track.kind == "video":
                pictures.put_nowait(track)

        await peer.setLocalDescription(await peer.createOffer())
        offer = {"sdp": peer.localDescription.sdp, "type": "offer"}
        answer = await asyncio.to_thread(server.post, "/v1/sessions", offer)
        await peer.setRemoteDescription(RTCSessionDescription(str(answer["sdp"]), "answer"))
        track = await asyncio.wait_for(pictures.get(), 10)
        for _ in range(10):
            await asyncio.wait_for(track.recv(), 10)
        await asyncio.to_thread(server.delete, f"/v1/sessions/{answer['id']}")  # a peer that left ends it by itself
        await peer.close()


class Hum(AudioStreamTrack):
    """A quiet 200 Hz hum, 20 ms at a time."""

    async def recv(self) -> AudioFrame:
        silence = await super().recv()  # keeps the pace, at 8 kHz
        assert silence.pts is not None
        at = (silence.pts * 6 + np.arange(960)) / 48_000
        levels = (3000 * np.sin(2 * np.pi * 200 * at)).astype(np.int16)
        frame = AudioFrame.from_ndarray(levels[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, silence.pts * 6, Fraction(1, 48_000)
        return frame
