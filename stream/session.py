"""One peer, from its SDP offer to its last packet; the only file that creates tasks."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

from models.errors import ModelError
from models.rig import INDEX
from models.system import FRAME_MS, IdentityState
from stream.alarm import Alarm
from stream.channel import LatestChannel
from stream.control import AvOffset, Interrupt, Message, Ping, SetLookahead, SwapIdentity
from stream.control_line import ControlLine
from stream.engine import Studio
from stream.errors import StreamError
from stream.face import MAX_UPDATES, Drawn, DueMark, Face, FrameJob, Orders
from stream.hearing import Hearing
from stream.jitter import RtpAudio
from stream.ladder import TOLD, Rung
from stream.listen import Ear
from stream.negotiate import Peer, answer
from stream.pacing import Pacer, frame_wait_s, snap, sound_end
from stream.paint import Seat
from stream.receive import datagrams_received, tap_audio
from stream.send import RtpOut
from stream.stats import SessionStats, stage_spans_ms
from stream.targets import DIAL_LIMITS, EMOTION, ControlUpdate, obeyed
from stream.types import JSON, FrameReport, IceServer, Outcome, SessionOptions
from stream.voice import VoiceLine
from stream.vp8 import Vp8Encoder

__all__ = ["Session", "SessionOptions"]

logger = logging.getLogger(__name__)

MAX_IDLE_S: Final = 60.0
STATS_EVERY_S: Final = 1.0
VANISHED_S: Final = 8.0
"""A peer from which not one datagram came for so long has gone without a word."""
VIDEO_TICKS: Final = 90 * FRAME_MS  # of the 90 kHz clock, per frame
VOICE_SAMPLES: Final = 48 * FRAME_MS
STALL_S: Final = 0.005
USUAL_WORK_S: Final = 0.02
USUAL_TRIM_S: Final = -0.03
"""Browsers hold a voice some 30 ms longer than a picture; each then reports what it really is."""


class Session:
    """A caller's voice in, a face and the same voice out.

    Attributes:
        id: Random, hard to guess.
        answer_sdp: To be given to the browser.
        lookahead_ms: The look-ahead that the session really uses.
        identity_id: Whose face is drawn.
        state: In words: "connecting", "live", "closed: <reason>".
        on_frame: Called on the event loop for every frame that was sent or dropped.
    """

    def __init__(
        self,
        peer: Peer,
        identity_id: str,
        seat: Seat,
        options: SessionOptions,
        studio: Studio,
        resolve_identity: Callable[[str], Awaitable[IdentityState]],
        max_idle_s: float,
    ) -> None:
        """Use `Session.open`."""
        system = studio.system
        hearing = Hearing(system, lookahead_ms=options.lookahead_ms, idle=options.idle, seed=options.seed)
        self.id = secrets.token_urlsafe(12)
        self.answer_sdp = peer.answer_sdp
        self.lookahead_ms = snap(options.lookahead_ms, system.lookahead_ms)
        self.identity_id = identity_id
        self.state = "connecting"
        self.on_frame: Callable[[FrameReport], None] | None = None
        self._connection, self._microphone = peer.connection, peer.microphone
        self._system, self._studio, self._obeyed = system, studio, obeyed(system.controls)
        self._resolve_identity = resolve_identity
        self._max_idle_s, self._vanished_s = max_idle_s, min(VANISHED_S, max_idle_s)
        self._face = Face(hearing, seat, Vp8Encoder())
        self._rung: Rung = "full"
        self._broken, self._replaced = False, 0
        self._face_out = RtpOut(peer.face, low_delay=True)
        self._voice_out = None if peer.voice is None else RtpOut(peer.voice, low_delay=False)
        self._voice = VoiceLine(self.lookahead_ms / 1000.0 + USUAL_WORK_S, trim_s=USUAL_TRIM_S)
        self._ear = Ear(time.monotonic(), self._choose_place)
        self._pacer = Pacer(self.lookahead_ms)
        self._stats = SessionStats()
        self._orders = Orders()
        self._due: DueMark | None = None
        self._drawn: asyncio.Queue[tuple[DueMark, Drawn, str | None]] = asyncio.Queue()
        self._swaps: LatestChannel[str] = LatestChannel(4)
        self._line = ControlLine(self._hello, self._obey)
        self._packet_came, self._frame_due, self._voice_came = Alarm(), Alarm(), Alarm()
        self._gone = asyncio.Event()
        tap_audio(peer.microphone, self._take_packet)
        self._connection.on("datachannel", self._line.open)
        self._connection.on("connectionstatechange", self._note_connection)

    @classmethod
    async def open(
        cls,
        offer_sdp: str,
        offer_type: str,
        identity_id: str,
        seat: Seat,
        options: SessionOptions,
        studio: Studio,
        resolve_identity: Callable[[str], Awaitable[IdentityState]],
        ice_servers: Sequence[IceServer] = (),
        max_idle_s: float = MAX_IDLE_S,
    ) -> "Session":
        """Answer an offer. The session lives once `run` is started.

        Args:
            offer_sdp: The browser's offer, all candidates gathered.
            offer_type: Must be "offer".
            identity_id: Name of the first face.
            seat: A place in the studio, its own from now on.
            options: What the client chose.
            studio: Draws the face.
            resolve_identity: Gives the features for an id when the client swaps faces; its `StreamError`s and
                `ModelError`s are told to the client and change nothing.
            ice_servers: STUN and TURN; none by default.
            max_idle_s: The session closes itself after so long without an RTP packet.

        Raises:
            OfferError: If the offer is not SDP, has no audio to receive, wants no video, or has no common codec.
            FrontEndError: If nobody here computes what the system listens to.
        """
        async with AsyncExitStack() as undo:
            undo.callback(studio.leave, seat)
            peer = await answer(offer_sdp, offer_type, ice_servers, want_voice=options.voice)
            undo.push_async_callback(peer.connection.close)
            session = cls(peer, identity_id, seat, options, studio, resolve_identity, max_idle_s)
            undo.pop_all()
            return session

    async def run(self) -> None:
        """Serve the peer until it goes, falls silent for `max_idle_s` or `close` is called. Call it once."""
        stages = {"listen": self._listen, "render": self._render, "show": self._show, "voice": self._speak}
        stages |= {"swap": self._swap, "watch": self._watch}
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(stage(), name=f"{self.id}/{name}") for name, stage in stages.items()]
                await self._gone.wait()
                for task in tasks:
                    task.cancel()
        except* Exception:  # the edge: one session's fault must not touch the others
            logger.exception("session %s: failed", self.id)
            await self.close("internal error")
        finally:
            await self.close("cancelled")
            self._studio.leave(self._face.seat)
            await self._connection.close()
            logger.info("session %s: %s, %d frames dropped", self.id, self.state, self._stats.dropped)

    async def close(self, reason: str) -> None:
        """End the session; `run` returns soon after. May be called twice, and before `run`."""
        if not self._gone.is_set():
            self.state = f"closed: {reason}"
            self._gone.set()

    def snapshot(self) -> dict[str, JSON]:
        """What `GET /v1/sessions/{id}` shows.

        Keys: id, state, system, identity, quality (a `Rung`), lookahead_ms, pts_ms, fps, sent, late, dropped, replaced
        (spoiled by the model, shown as the one before), stages {name: {p50, p95, p99}} in ms, audio {received, lost,
        late, concealed, delay_ms}, voice_delay_ms (None without a voice).
        """
        jitter = self._ear.jitter
        return {
            "id": self.id,
            "state": self.state,
            "system": self._system.name,
            "identity": self.identity_id,
            "quality": self._rung,
            "lookahead_ms": self.lookahead_ms,
            "pts_ms": self._ear.heard_ms,
            "fps": round(self._stats.fps, 2),
            "sent": self._stats.sent,
            "late": self._stats.late,
            "dropped": self._stats.dropped,
            "replaced": self._replaced,
            "stages": self._stats.stages(),
            "audio": {
                "received": jitter.received,
                "lost": jitter.lost,
                "late": jitter.late,
                "concealed": jitter.concealed,
                "delay_ms": round(jitter.delay_ms, 2),
            },
            "voice_delay_ms": None if self._voice_out is None else round(1000 * self._voice.delay_s, 2),
        }

    # stages

    async def _listen(self) -> None:
        await self._face_out.up.wait()
        self._ear.start(time.monotonic())
        self._voice.clear()
        while True:
            if time.monotonic() > self._ear.jitter.deadline_s + STALL_S:
                await asyncio.sleep(STALL_S)  # this process stood still: let in what waits in the socket
            heard = self._ear.listen(time.monotonic())
            if heard is not None:
                frames = self._pacer.due(self._ear.ring.end)
                if frames:
                    self._mark_due(frames, heard.received_s)
                for onset_ms in heard.onsets_ms:
                    self._line.tell({"t": "onset", "pts_ms": onset_ms})
            await self._packet_came.wait(self._ear.jitter.deadline_s)

    async def _render(self) -> None:
        while True:
            await self._frame_due.wait()
            due, self._due = self._due, None
            if due is None or not self._face_out.up.is_set():
                continue
            orders, self._orders = self._orders, Orders()
            samples = self._ear.ring.read(self._face.heard_samples, due.sound_end)
            key = self._face_out.take_key_request()
            bitrate = self._face_out.believed_bitrate
            try:
                drawn = await self._studio.draw(FrameJob(self._face, due, samples, orders, key=key, bitrate=bitrate))
            except StreamError as error:  # no memory, or no device: nothing of this session's own making
                self._line.tell({"t": "error", "code": "device", "message": str(error)})
                await self.close(str(error))
                return
            self._tell_rung()
            if drawn is None:
                self._orders = orders.followed_by(self._orders)
                self._face_out.want_key(key)
                self._report(due.frame, "dropped", {})
            else:
                self._note_broken(drawn.broken)
                capture_s = self._ear.wall_s(VOICE_SAMPLES * due.frame)
                send_s = self._voice.face_due_s(capture_s, repeated_by_s=due.deadline_s if drawn.repeated else None)
                drawn.stamps_s["hold"] = max(drawn.stamps_s["encode"], send_s)
                if not drawn.repeated:  # the voice must wait for a face that moves
                    self._voice.note_face(time.monotonic() - capture_s)
                self._drawn.put_nowait((due, drawn, orders.identity and orders.identity[0]))

    async def _show(self) -> None:
        while True:
            due, drawn, identity_id = await self._drawn.get()
            await asyncio.sleep(drawn.stamps_s["hold"] - time.monotonic())
            await self._send_frame(due, drawn)
            if identity_id is not None:
                self.identity_id = identity_id
                self._line.tell({"t": "identity", "id": identity_id})

    async def _speak(self) -> None:
        wall_s = self._ear.wall_s
        while True:
            for packet in self._voice.due(time.monotonic(), wall_s):
                if self._voice_out is not None:
                    await self._voice_out.send(
                        [packet.payload],
                        packet.position,
                        capture_s=wall_s(packet.position),
                        marker=packet.marker,
                        skip=packet.skip,
                    )
            await self._voice_came.wait(self._voice.deadline_s(wall_s))

    async def _swap(self) -> None:
        while True:
            identity_id = await self._swaps.get()
            try:
                self._orders.identity = (identity_id, await self._resolve_identity(identity_id))
            except (StreamError, ModelError) as error:
                self._line.tell({"t": "error", "code": "identity", "message": str(error)})

    async def _watch(self) -> None:
        datagrams, alive_s = 0, time.monotonic()
        while True:
            await asyncio.sleep(STATS_EVERY_S)
            now_s = time.monotonic()
            if datagrams != (datagrams := datagrams_received(self._microphone)):
                alive_s = now_s
            if now_s - self._ear.last_packet_s > self._max_idle_s:
                await self.close(f"no sound came for {self._max_idle_s:g} s")
            elif self.state == "live" and now_s - alive_s > self._vanished_s:
                await self.close("the peer has vanished")
            self._stats.tick(now_s)
            if self._line.flows:
                self._line.tell({"t": "stats", **self.snapshot()})

    # what the stages share

    def _take_packet(self, packet: RtpAudio) -> None:
        position = self._ear.take(packet)
        if position is None:
            return
        self._packet_came.ring()
        if self._voice_out is not None:
            self._voice.push(packet, position)
            self._voice_came.ring()

    def _mark_due(self, frames: range, received_s: float) -> None:
        # only the newest is drawn: late frames are dropped, never queued
        if self._due is not None:
            self._studio.note_missed()
        skipped = [*([] if self._due is None else [self._due.frame]), *frames[:-1]]
        newest, lookahead_ms = frames[-1], self._pacer.lookahead_ms
        end = sound_end(newest, lookahead_ms)
        self._due = DueMark(newest, lookahead_ms, end, received_s, time.monotonic())
        self._frame_due.ring()
        for frame in skipped:
            self._report(frame, "dropped", {})

    def _choose_place(self, packet: RtpAudio, offered: tuple[int, int]) -> int:
        waits_s = [frame_wait_s(position + packet.samples, packet.samples, self.lookahead_ms) for position in offered]
        return self._studio.roomiest([packet.arrival_s + wait_s for wait_s in waits_s], self._face.seat)

    def _tell_rung(self) -> None:
        if self._rung != self._studio.rung:
            self._rung = self._studio.rung
            self._line.tell({"t": "notice", "code": "quality", "rung": self._rung, "message": TOLD[self._rung]})

    def _note_broken(self, broken: bool) -> None:
        if broken and not self._broken:
            text = "the model has spoiled a picture: the last good one stays until the next"
            self._line.tell({"t": "notice", "code": "bad_frame", "message": text})
        self._broken = broken
        self._replaced += broken

    async def _send_frame(self, due: DueMark, drawn: Drawn) -> None:
        capture_s = self._ear.wall_s(VOICE_SAMPLES * due.frame)
        if not await self._face_out.send(drawn.payloads, VIDEO_TICKS * due.frame, capture_s=capture_s):
            return
        now_s = time.monotonic()
        if self.state == "connecting":
            self.state = "live"
        spans_ms = stage_spans_ms({**drawn.stamps_s, "send": now_s}, received_s=due.received_s)
        late = now_s > due.deadline_s + self._voice.face_hold_s
        self._report(due.frame, "late" if late else "sent", spans_ms)

    def _report(self, frame: int, outcome: Outcome, stages_ms: dict[str, float]) -> None:
        report = FrameReport(frame, outcome, stages_ms)
        self._stats.add(report)
        if self.on_frame is not None:
            self.on_frame(report)

    # the peer

    async def _note_connection(self) -> None:
        if self._connection.connectionState in ("failed", "closed"):
            await self.close("the peer has gone")

    def _hello(self) -> dict[str, JSON]:
        return {
            "t": "hello",
            "session": self.id,
            "system": self._system.name,
            "identity": self.identity_id,
            "lookahead_ms": self.lookahead_ms,
            "controls": [*sorted(self._obeyed)],
            "video_rtp_origin": self._face_out.origin,
            "audio_rtp_origin": 0 if self._voice_out is None else self._voice_out.origin,
        }

    def _obey(self, message: Message) -> None:
        match message:
            case ControlUpdate():
                self._take_controls(message)
            case SwapIdentity(identity_id):
                self._swaps.put_nowait(identity_id)
            case Interrupt():
                self._orders.interrupt = True
                self._voice.clear()
            case SetLookahead(wanted_ms):
                self.lookahead_ms = self._pacer.lookahead_ms = snap(round(wanted_ms), self._system.lookahead_ms)
                self._line.tell(
                    {"t": "notice", "code": "lookahead", "message": f"look-ahead is {self.lookahead_ms} ms"}
                )
            case AvOffset(late_ms):
                self._voice.trim(late_ms)
            case Ping(sent_ms):
                self._line.tell({"t": "pong", "sent_ms": sent_ms, "pts_ms": self._ear.heard_ms})

    def _take_controls(self, update: ControlUpdate) -> None:
        told = {name for name in update.values if name in INDEX or name in DIAL_LIMITS}
        deaf = sorted((told | ({EMOTION} if update.emotion else set())) - self._obeyed)
        if deaf:
            text = f"{self._system.name} does not obey: {', '.join(deaf)}"
            self._line.tell({"t": "notice", "code": "not_obeyed", "message": text})
        if len(self._orders.updates) >= MAX_UPDATES:
            del self._orders.updates[0]
        self._orders.updates.append(update)
