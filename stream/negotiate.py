"""From an SDP offer to an answer: which line is the microphone, which gets the face, which the returned voice."""

import asyncio
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.rtcconfiguration import RTCBundlePolicy
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters
from aiortc.sdp import MediaDescription, SessionDescription

from stream.errors import OfferError
from stream.hooks import private, replace
from stream.send import ABS_CAPTURE_TIME, PLAYOUT_DELAY
from stream.types import IceServer

MAX_SDP_BYTES: Final = 64 * 1024
PACKET_MS: Final = 10
"""Asked of the sender by a=ptime: a packet of 10 ms is here 10 ms before one of 20 ms."""
OUR_EXTENSIONS: Final = (PLAYOUT_DELAY, ABS_CAPTURE_TIME)
MDNS_HOST: Final = re.compile(r"(?m)^(a=candidate:(?:\S+ ){4})\S+\.local(?= )")


@dataclass(frozen=True)
class Peer:
    """A negotiated connection that has not yet carried anything.

    Attributes:
        connection: aiortc's.
        microphone: Receives the caller's voice.
        face: Sends the video.
        voice: Sends the voice back; None if the offer has no line for it or it is not wanted.
        answer_sdp: For the other side.
    """

    connection: RTCPeerConnection
    microphone: RTCRtpReceiver
    face: RTCRtpSender
    voice: RTCRtpSender | None
    answer_sdp: str


@dataclass(frozen=True)
class OfferLines:
    """Media ids of the lines of an offer that a session uses."""

    microphone: str
    face: str
    voice: str | None


def read_offer(sdp: str, kind: str) -> OfferLines:
    """Check an offer without opening anything.

    Raises:
        OfferError: With a reason, and what to do about it.
    """
    if kind != "offer":
        raise OfferError("bad_type", f"got a description of type {kind!r}, want 'offer': send createOffer()'s result")
    if len(sdp) > MAX_SDP_BYTES:
        raise OfferError("too_large", f"got {len(sdp)} characters of SDP, want at most {MAX_SDP_BYTES}")
    try:
        media = SessionDescription.parse(sdp).media
        audio = [m for m in media if m.kind == "audio" and m.port and m.direction != "inactive"]
        video = [m for m in media if m.kind == "video" and m.port and m.direction in ("recvonly", "sendrecv")]
    except Exception as error:  # the parser of an untrusted text may raise anything
        raise OfferError("not_sdp", "the offer is not SDP: send the sdp of createOffer() unchanged") from error
    if not media:
        raise OfferError("not_sdp", "the offer has no media: send the sdp of createOffer() unchanged")
    talking = [m for m in audio if m.direction in ("sendonly", "sendrecv")]
    if not talking:
        raise OfferError("no_audio", "the offer sends no audio: add the microphone's track before createOffer()")
    if not video:
        raise OfferError("no_video", "the offer receives no video: add a recvonly video transceiver")
    if not _has(talking[0], "audio/opus"):
        raise OfferError("no_opus", "the offer's audio has no Opus: every browser has it, so do not remove it")
    if not _has(video[0], "video/vp8"):
        raise OfferError("no_vp8", "the offer's video has no VP8: every browser has it, so do not remove it")
    hearing = [m for m in audio if m.direction in ("recvonly", "sendrecv") and _has(m, "audio/opus")]
    hearing.sort(key=lambda m: str(m.direction))  # a line of its own before the microphone's
    return OfferLines(talking[0].rtp.muxId, video[0].rtp.muxId, hearing[0].rtp.muxId if hearing else None)


async def answer(sdp: str, kind: str, ice_servers: Sequence[IceServer], *, want_voice: bool) -> Peer:
    """Open a connection that answers an offer.

    Raises:
        OfferError: If the offer cannot be served; nothing stays open.
    """
    lines = read_offer(sdp, kind)
    connection = RTCPeerConnection(
        RTCConfiguration(
            iceServers=[RTCIceServer(list(s.urls), s.username, s.credential) for s in ice_servers],
            bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
        )
    )
    try:
        await connection.setRemoteDescription(RTCSessionDescription(without_mdns(sdp), kind))
        peer = await _answer(connection, lines, _offered_extensions(sdp), want_voice=want_voice)
    except Exception as error:  # aiortc meets an incomplete description with whatever its parts raise
        await connection.close()
        raise OfferError("refused", "the offer cannot be answered: it lacks ICE, DTLS or a common codec") from error
    except asyncio.CancelledError:
        await connection.close()
        raise
    return peer


def without_mdns(sdp: str) -> str:
    """Hide `.local` candidates: their look-up would delay the answer by a second, and the browser's own checks come
    in anyway. The line stays, so that ICE has something to wait for."""
    return MDNS_HOST.sub(r"\g<1>127.0.0.1", sdp)


def ask_for_packets(sdp: str, packet_ms: int = PACKET_MS) -> str:
    """Add a=ptime to every audio section of an answer."""
    head = r"(?m)^(m=audio .*\r?\n(?:[^am]=.*\r?\n)*)"  # attributes come last in a section
    return re.sub(head, rf"\g<1>a=ptime:{packet_ms}\r\n", sdp)


async def _answer(
    connection: RTCPeerConnection,
    lines: OfferLines,
    offered: dict[str, list[RTCRtpHeaderExtensionParameters]],
    *,
    want_voice: bool,
) -> Peer:
    by_mid = {transceiver.mid: transceiver for transceiver in connection.getTransceivers()}
    voice_mid = lines.voice if want_voice else None
    for mid, transceiver in by_mid.items():
        hears, speaks = mid == lines.microphone, mid in (lines.face, voice_mid)
        transceiver.direction = ("inactive", "sendonly", "recvonly", "sendrecv")[2 * hears + speaks]
        wanted = "video/vp8" if transceiver.kind == "video" else "audio/opus"
        # only what is really sent and understood, and its retransmission
        codecs = private(transceiver, "_codecs", list)
        kept = {codec.payloadType for codec in codecs if codec.mimeType.lower() == wanted}
        mine = [c for c in codecs if c.payloadType in kept or c.parameters.get("apt") in kept]
        if mid in (lines.microphone, lines.face, voice_mid):
            replace(transceiver, "_codecs", mine, list)
        extensions = private(transceiver, "_headerExtensions", list)
        replace(transceiver, "_headerExtensions", [*extensions, *offered.get(str(mid), [])], list)
    # labels of their own: a browser holds back the streams of one label for lip sync, and ours are in sync already
    for mid in (lines.face, voice_mid):
        if mid is not None:
            replace(by_mid[mid].sender, "_stream_id", uuid.uuid4().hex, str)
    await connection.setLocalDescription(await connection.createAnswer())
    return Peer(
        connection,
        by_mid[lines.microphone].receiver,
        by_mid[lines.face].sender,
        by_mid[voice_mid].sender if voice_mid is not None else None,
        ask_for_packets(connection.localDescription.sdp),
    )


def _offered_extensions(sdp: str) -> dict[str, list[RTCRtpHeaderExtensionParameters]]:
    media = SessionDescription.parse(sdp).media
    return {m.rtp.muxId: [e for e in m.rtp.headerExtensions if e.uri in OUR_EXTENSIONS] for m in media}


def _has(media: MediaDescription, mime_type: str) -> bool:
    return any(codec.mimeType.lower() == mime_type for codec in media.rtp.codecs)
