import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.sdp import SessionDescription

from stream.errors import OfferError
from stream.negotiate import answer, ask_for_packets, read_offer, without_mdns
from stream.send import ABS_CAPTURE_TIME, PLAYOUT_DELAY
from tests.stream.peer import Caller


async def offer(*lines: tuple[str, str]) -> str:
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind, direction in lines:
        connection.addTransceiver(kind, direction=direction)
    if not lines:
        connection.createDataChannel("control")
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp
    await connection.close()
    return sdp


async def reason(sdp: str, kind: str = "offer") -> str:
    with pytest.raises(OfferError) as caught:
        await answer(sdp, kind, [], want_voice=True)
    assert len(str(caught.value)) > 30  # it says what to do
    return caught.value.reason


async def test_what_cannot_be_a_session_is_refused_with_its_reason():
    talk = await offer(("audio", "sendrecv"), ("video", "recvonly"))
    assert await reason(talk, "answer") == "bad_type"
    assert await reason("hello") == "not_sdp"
    assert await reason("") == "not_sdp"
    assert await reason("v=0\r\nm=audio") == "not_sdp"
    assert await reason(talk + "a=x\r\n" * 20_000) == "too_large"
    assert await reason(await offer()) == "no_audio"
    assert await reason(await offer(("video", "recvonly"))) == "no_audio"
    assert await reason(await offer(("audio", "recvonly"), ("video", "recvonly"))) == "no_audio"
    assert await reason(await offer(("audio", "sendrecv"))) == "no_video"
    assert await reason(await offer(("audio", "sendrecv"), ("video", "sendonly"))) == "no_video"
    assert await reason(talk.replace("opus", "sopu")) == "no_opus"
    assert await reason(talk.replace("VP8", "VP7")) == "no_vp8"
    assert await reason(talk.replace("a=ice-ufrag", "a=no-ufrag")) == "refused"
    assert await reason(talk.replace("a=rtcp-mux\r\n", "")) == "refused"


async def test_truncated_offers_never_do_worse_than_being_refused():
    talk = await offer(("audio", "sendrecv"), ("video", "recvonly"))
    for length in range(0, len(talk), 97):
        try:
            peer = await answer(talk[:length], "offer", [], want_voice=True)
        except OfferError:
            continue
        await peer.connection.close()


async def test_a_line_of_its_own_for_the_voice_is_preferred():
    both = read_offer(await offer(("audio", "sendrecv"), ("audio", "recvonly"), ("video", "recvonly")), "offer")
    one = read_offer(await offer(("audio", "sendrecv"), ("video", "recvonly")), "offer")
    none = read_offer(await offer(("audio", "sendonly"), ("video", "recvonly")), "offer")
    assert (both.microphone, both.voice) == ("0", "1")
    assert (one.microphone, one.voice) == ("0", "0")
    assert (none.microphone, none.voice) == ("0", None)


async def test_the_answer_has_opus_vp8_small_packets_separate_streams_and_our_extensions():
    caller = Caller()
    peer = await answer(await caller.offer(), "offer", [], want_voice=True)
    audio, video, _ = SessionDescription.parse(peer.answer_sdp).media
    assert [codec.mimeType for codec in audio.rtp.codecs] == ["audio/opus"]
    assert [codec.mimeType for codec in video.rtp.codecs] == ["video/VP8", "video/rtx"]
    assert (audio.direction, video.direction) == ("sendrecv", "sendonly")
    assert audio.msid.split()[0] != video.msid.split()[0]
    assert {PLAYOUT_DELAY, ABS_CAPTURE_TIME} <= {extension.uri for extension in video.rtp.headerExtensions}
    section = peer.answer_sdp.split("m=audio")[1].split("m=video")[0].splitlines()
    assert section.index("a=ptime:10") > max(i for i, line in enumerate(section) if line.startswith("c="))
    await peer.connection.close()
    await caller.close()


async def test_without_a_voice_the_microphones_line_only_receives():
    peer = await answer(await offer(("audio", "sendrecv"), ("video", "recvonly")), "offer", [], want_voice=False)
    assert peer.voice is None
    assert SessionDescription.parse(peer.answer_sdp).media[0].direction == "recvonly"
    await peer.connection.close()


def test_hidden_addresses_are_not_looked_up():
    line = "a=candidate:1 1 udp 2113937151 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 54596 typ host\r\n"
    assert without_mdns(line) == "a=candidate:1 1 udp 2113937151 127.0.0.1 54596 typ host\r\n"
    plain = "a=candidate:1 1 udp 2113937151 192.0.2.7 54596 typ host\r\n"
    assert without_mdns(plain) == plain


def test_every_audio_section_and_no_other_asks_for_small_packets():
    first = "v=0\r\nm=audio 9 X 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
    sdp = first + "m=video 9 X 96\r\na=mid:1\r\nm=audio 9 X 111\r\na=mid:2\r\n"
    asked = ask_for_packets(sdp)
    assert asked.replace("a=ptime:10\r\n", "") == sdp
    assert asked.count("c=IN IP4 0.0.0.0\r\na=ptime:10\r\na=mid:0") == 1
    assert asked.count("m=audio 9 X 111\r\na=ptime:10\r\na=mid:2") == 1
