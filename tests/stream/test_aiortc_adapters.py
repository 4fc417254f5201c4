"""The two adapters reach into aiortc: these tests fail, and say what is gone, when its internals move."""

import inspect

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.rtp import HeaderExtensions, RtpPacket, unpack_header_extensions

import stream.receive
import stream.send
from stream.errors import AiortcMovedError
from stream.receive import datagrams_received, tap_audio
from stream.send import ABS_CAPTURE_TIME, PLAYOUT_DELAY, RtpOut

RECEIVER = ("_RTCRtpReceiver__jitter_buffer",)
SENDER = (
    "_RTCRtpSender__rtp_history",
    "_RTCRtpSender__rtp_started",
    "_RTCRtpSender__rtp_exited",
    "_RTCRtpSender__rtp_header_extensions_map",
    "_run_rtp",
    "_send_keyframe",
    *stream.send.COUNTERS,
)


async def transceiver(kind: str):
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    return connection, connection.addTransceiver(kind)


async def test_this_aiortc_has_all_that_the_adapters_reach_for():
    connection, audio = await transceiver("audio")
    tap_audio(audio.receiver, lambda packet: None)
    assert datagrams_received(audio.receiver) == 0
    RtpOut(audio.sender, low_delay=True)
    await connection.close()


@pytest.mark.parametrize("name", RECEIVER)
async def test_a_receiver_without_what_is_replaced_is_refused(name):
    connection, audio = await transceiver("audio")
    delattr(audio.receiver, name)
    with pytest.raises(AiortcMovedError, match=f"RTCRtpReceiver has no '{name}'"):
        tap_audio(audio.receiver, lambda packet: None)
    await connection.close()


@pytest.mark.parametrize("name", SENDER)
async def test_a_sender_without_what_is_replaced_is_refused(name):
    connection, video = await transceiver("video")
    setattr(video.sender, name, None)
    with pytest.raises(AiortcMovedError, match=f"RTCRtpSender has no '{name}'"):
        RtpOut(video.sender, low_delay=True)
    await connection.close()


def test_aiortc_still_uses_what_is_replaced_the_way_it_did():
    receive = inspect.getsource(RTCRtpReceiver._handle_rtp_packet)
    assert "pli_flag, encoded_frame = self.__jitter_buffer.add(packet)" in receive
    send = inspect.getsource(RTCRtpSender)
    for use in (
        "asyncio.ensure_future(self._run_rtp(parameters.codecs[0]))",
        "self.__rtp_header_extensions_map.configure(parameters)",
        "self._send_keyframe()",
        "self.__encoder.target_bitrate = bitrate",
        "self.__rtp_history.get(sequence_number % RTP_HISTORY_SIZE)",
        "asyncio.gather(self.__rtp_exited.wait(), self.__rtcp_exited.wait())",
        "self.__mid = parameters.muxId",
    ):
        assert use in send, use


async def test_both_extensions_are_written_beside_aiortcs_own():
    connection, video = await transceiver("video")
    out = RtpOut(video.sender, low_delay=True)
    numbers = {"urn:ietf:params:rtp-hdrext:sdes:mid": 1, PLAYOUT_DELAY: 5, ABS_CAPTURE_TIME: 7}
    out._extensions._numbers = numbers
    out._extensions._HeaderExtensionsMap__ids = HeaderExtensions(mid=1)
    video.sender._RTCRtpSender__mid = "v"
    packet = out._packet(b"x", 90, 0x0102030405060708, marker=True)
    raw = packet.serialize(out._extensions)
    parsed = RtpPacket.parse(raw)
    profile = int.from_bytes(raw[12:14], "big")
    length = 4 * int.from_bytes(raw[14:16], "big")
    assert unpack_header_extensions(profile, raw[16 : 16 + length]) == [
        (1, b"v"),
        (5, b"\0\0\0"),
        (7, bytes([1, 2, 3, 4, 5, 6, 7, 8])),
    ]
    assert parsed.timestamp == (out.origin + 90) % 2**32
    assert (parsed.marker, parsed.payload) == (1, b"x")
    await connection.close()


def test_the_adapters_are_the_only_files_that_reach_into_aiortc():
    sources = {path: path.read_text() for path in __import__("pathlib").Path(stream.__path__[0]).glob("*.py")}
    reaching = {path.name for path, text in sources.items() if "_RTCRtp" in text or "_RTCDtls" in text}
    assert reaching == {"receive.py", "send.py"}
