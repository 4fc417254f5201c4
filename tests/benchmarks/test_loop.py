"""The loop with aiortc peers: how a picture's lag is reckoned, and one real conversation."""

import asyncio

import pytest

from benchmarks.bench_loop import SECONDS, Peer, _converse, _opus
from benchmarks.live_server import LiveServer


async def test_a_lag_is_from_the_voice_that_a_picture_shows_whatever_the_clocks_began_with():
    peer = Peer(LiveServer.__new__(LiveServer))
    peer._hello.set_result({"audio_rtp_origin": 2**32 - 480, "video_rtp_origin": 2**32 - 90})
    packets = [bytes([number]) for number in range(100)]
    peer._spoken_s = {payload: 7.0 + 0.02 * number for number, payload in enumerate(packets)}
    # the server gave the voice a place half a second after its clock began
    peer._heard = [((24_000 + 960 * number - 480) % 2**32, payload) for number, payload in enumerate(packets)]
    lags = {0.4: 0.3, 0.5: 0.3, 1.0: 0.1, 1.02: 0.2, 3.0: 0.3}  # by media time; 0.4 and 3.0 are of no packet that came
    peer._seen = [(round(90_000 * at - 90) % 2**32, 6.5 + at + lag) for at, lag in lags.items()]
    assert peer.lags_s(0.0) == pytest.approx([0.3, 0.1, 0.2])
    assert peer.lags_s(0.51) == pytest.approx([0.2])


def test_no_two_packets_are_alike():
    packets = _opus(SECONDS)
    assert len(set(packets)) == len(packets) == 50 * SECONDS


def test_a_peer_sees_pictures_of_what_it_said_sooner_than_others_send_a_chunk(tmp_path):
    with LiveServer(tmp_path) as server:
        lags_s, lowered = asyncio.run(_converse(server, 1, 4.0))
    assert len(lags_s) > 20  # of 50: the rest of a slow machine's are dropped
    assert 0.04 < min(lags_s) < 0.6
    assert 0.0 <= lowered <= 1.0
