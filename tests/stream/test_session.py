"""Two aiortc peers over loopback: a whole session, with a caller whose network and manners are scripted."""

import asyncio
import contextlib
import itertools
import random
import threading
import time

import msgpack
import numpy as np
import pytest

from models.errors import PhotoError
from stream.batch import Batcher
from stream.session import Session, SessionOptions
from stream.types import STAGES
from stream.worker import ModelWorker
from tests.stream.fakes import Loudness, identity, tone
from tests.stream.peer import Caller, opus_packets

SILENCE = opus_packets(np.zeros(48_000 * 4, np.float32))
QUIET, LOUD, QUIET_AGAIN = 25, 30, 25  # packets of 20 ms
TALK = opus_packets(
    np.concatenate([np.zeros(960 * QUIET), tone(0.02 * LOUD, rate=48_000), np.zeros(960 * QUIET_AGAIN)])
)


async def faces(identity_id: str):
    if identity_id != "grace":
        raise PhotoError("no_face", f"nobody here is called {identity_id}")
    return identity(0.9)


@contextlib.asynccontextmanager
async def calls(system: Loudness, *options: SessionOptions, max_idle_s: float = 30.0):
    """Callers with running sessions, one for each of `options`, on one worker: [(caller, session, task)]."""
    opened = []
    with ModelWorker() as worker:
        batcher = Batcher(worker, system)
        async with asyncio.TaskGroup() as group:
            for one in options:
                caller = Caller()
                seat = batcher.sit(identity(0.2))
                session = await Session.open(
                    await caller.offer(), "offer", "ada", seat, one, batcher, faces, (), max_idle_s
                )
                session.reports = []
                session.on_frame = lambda report, to=session.reports: to.append((time.monotonic(), report))
                task = group.create_task(session.run())
                await caller.accept(session.answer_sdp)
                await caller.until(lambda caller=caller: caller.said("hello"))
                opened.append((caller, session, task))
            try:
                yield opened
            finally:
                for caller, session, _ in opened:
                    await session.close("test is over")
                    await caller.close()


STILL = SessionOptions(idle=False)


def assert_every_frame_is_accounted_for(caller: Caller, session: Session) -> None:
    """No frame number is left out or told twice, and media time keeps the pace of the wall clock.

    How many of them a busy machine has time to draw is no matter of these tests.
    """
    numbers = [report.frame for _, report in session.reports]
    assert len(numbers) == len(set(numbers))
    assert len(set(range(max(numbers) + 1)) - set(numbers)) <= 1  # the one that is being drawn now
    shown = [round(caller.media_ms(frame) / 40) for frame in caller.frames]
    assert shown == sorted(set(shown))
    drawn = {report.frame for _, report in session.reports if report.outcome != "dropped"}
    assert set(shown) <= drawn
    (first_s, first), (last_s, last) = session.reports[0], session.reports[-1]
    assert abs((last_s - first_s) - 0.04 * (last.frame - first.frame)) < 0.25


def bright_ms(caller: Caller) -> list[float]:
    return [caller.media_ms(frame) for frame in caller.frames if frame.rgb[0] > 0.15]


def sound_begins_ms(caller: Caller, first_timestamp: int, packets: list[bytes], number: int) -> float:
    """Media time of packet `number` of a talk, from where its packets came back."""
    came_back = {payload: timestamp for timestamp, _, payload in caller.voice}
    known = next(n for n in range(number, len(packets)) if packets[n] in came_back)
    return caller.voice_ms(came_back[packets[known]]) - 20 * (known - number)


async def test_frames_follow_the_voice_at_25_a_second_and_voice_and_face_share_one_clock():
    async with calls(Loudness(), STILL) as [(caller, session, _)]:
        await caller.speak(TALK)
        await caller.until(lambda: len(caller.voice) >= len(TALK) - 2)
        assert all(caller.media_ms(frame) % 40 == 0 for frame in caller.frames)
        assert_every_frame_is_accounted_for(caller, session)
        begins_ms = sound_begins_ms(caller, 0, TALK, QUIET)
        lit = bright_ms(caller)
        # look-ahead 40: the frame before the sound sees its first hops
        assert begins_ms - 80 < lit[0]
        assert lit[-1] <= begins_ms + 20 * LOUD + 40
        inside = [ms for f in caller.frames if begins_ms <= (ms := caller.media_ms(f)) <= begins_ms + 20 * LOUD - 40]
        assert inside
        assert len(set(inside) & set(lit)) >= 0.7 * len(inside)
        [onset] = caller.said("onset")
        assert abs(onset["pts_ms"] - begins_ms) < 12  # Opus itself is 6.5 ms late
        drawn = [report for _, report in session.reports if report.outcome != "dropped"]
        assert len(drawn) == session.snapshot()["sent"]


async def test_a_frame_and_the_voice_of_its_media_time_arrive_together():
    async with calls(Loudness(), STILL) as [(caller, session, _)]:
        await caller.speak(SILENCE[:120])
        voice = {round(caller.voice_ms(timestamp)): at_s for timestamp, at_s, _ in caller.voice}
        apart = [1000 * (voice[ms] - f.at_s) for f in caller.frames if (ms := round(caller.media_ms(f))) in voice]
        assert len(apart) >= 8
        assert abs(np.median(apart[len(apart) // 3 :])) < 40
        assert session.snapshot()["voice_delay_ms"] < 150


async def test_what_comes_back_is_the_callers_own_voice_untouched():
    async with calls(Loudness(), STILL) as [(caller, _, _)]:
        await caller.speak(TALK[:60])
        await caller.until(lambda: len(caller.voice) == 60)
        assert [payload for _, _, payload in caller.voice] == TALK[:60]
        assert all((b - a) % 2**32 == 960 for (a, *_), (b, *_) in itertools.pairwise(caller.voice))


async def test_ten_percent_loss_and_60_ms_of_jitter_keep_the_frames_going():
    draw = random.Random(3)
    extra = [None if draw.random() < 0.1 else 0.06 * draw.random() for _ in TALK]  # reorders too
    async with calls(Loudness(), STILL) as [(caller, session, _)]:
        await caller.speak(TALK, plan=lambda number: extra[number])
        await caller.until(lambda: bright_ms(caller) and caller.frames[-1].rgb[0] < 0.05)
        assert_every_frame_is_accounted_for(caller, session)
        begins_ms = sound_begins_ms(caller, 0, TALK, QUIET)
        assert begins_ms - 100 < bright_ms(caller)[0] <= begins_ms + 120
        audio = session.snapshot()["audio"]
        assert audio["lost"] == pytest.approx(sum(one is None for one in extra), abs=2)
        assert audio["concealed"] >= 0.5 * audio["lost"]
        assert audio["delay_ms"] <= 120


async def test_a_pause_of_the_microphone_keeps_25_frames_a_second_and_the_clock():
    pause_s = 1.0

    def plan(number: int) -> float | None:
        return None if 15 <= number < 15 + 50 * pause_s else 0.0

    talk = [*SILENCE[:65], *TALK[QUIET : QUIET + 20]]
    async with calls(Loudness(), STILL) as [(caller, session, _)]:
        started_s = time.monotonic()
        await caller.speak(talk, plan=plan)
        await caller.until(lambda: bright_ms(caller))
        paused = [report for at_s, report in session.reports if started_s + 0.4 < at_s < started_s + 1.2]
        assert 16 <= len(paused) <= 24
        assert_every_frame_is_accounted_for(caller, session)
        begins_ms = sound_begins_ms(caller, 0, talk, 65)
        assert begins_ms - 80 < bright_ms(caller)[0] <= begins_ms + 80


async def test_frames_flow_before_the_first_packet_of_sound():
    async with calls(Loudness(), STILL) as [(caller, session, _)]:
        await caller.until(lambda: len(caller.frames) >= 10)
        assert session.snapshot()["audio"]["received"] == 0
        assert_every_frame_is_accounted_for(caller, session)


async def test_a_client_that_vanishes_ends_its_session_and_no_other():
    async with calls(Loudness(), STILL, STILL, max_idle_s=1.0) as [(gone, _, ended), (stays, session, runs)]:
        await asyncio.gather(gone.speak(SILENCE[:10]), stays.speak(SILENCE[:10]))
        gone.microphone.sender.transport._send_rtp = _lose  # not a byte more: no report, no goodbye
        gone.control.transport.transport._send_data = _lose
        talking = asyncio.ensure_future(stays.speak(SILENCE[:190], first_timestamp=9600))
        async with asyncio.timeout(20):
            await ended
        seen = len(stays.frames)
        await stays.until(lambda: len(stays.frames) >= seen + 10)
        assert not runs.done()
        assert session.state == "live"
        talking.cancel()


async def _lose(data: bytes) -> None:
    return None


async def test_a_silent_client_is_closed_after_the_idle_time():
    async with calls(Loudness(), STILL, max_idle_s=1.0) as [(_, session, task)]:
        async with asyncio.timeout(20):
            await task
        assert session.state == "closed: no sound came for 1 s"


async def test_a_client_that_says_goodbye_is_gone_at_once():
    async with calls(Loudness(), STILL) as [(caller, session, task)]:
        await caller.close()
        async with asyncio.timeout(20):
            await task
        assert session.state == "closed: the peer has gone"


async def test_garbage_on_the_data_channel_is_answered_and_changes_nothing():
    async with calls(Loudness(), STILL) as [(caller, session, task)]:
        for junk in (b"\xc1", "text", b"", msgpack.packb([1]), msgpack.packb({"t": "controls", "values": 3})):
            caller.control.send(junk)
        caller.tell(t="identity", id="nobody")
        caller.tell(t="ping", sent_ms=12.5, unknown="key")
        await caller.until(lambda: caller.said("pong") and len(caller.said("error")) == 6)
        assert caller.said("pong")[0]["sent_ms"] == 12.5
        assert [error["code"] for error in caller.said("error")] == ["bad_message"] * 5 + ["identity"]
        assert caller.said("error")[5]["message"] == "nobody here is called nobody"
        seen = len(caller.frames)
        await caller.until(lambda: len(caller.frames) > seen + 3)
        assert (session.identity_id, session.state, task.done()) == ("ada", "live", False)


async def test_another_face_comes_between_two_frames():
    async with calls(Loudness(), STILL) as [(caller, session, _)]:
        await caller.until(lambda: len(caller.frames) > 5)
        caller.tell(t="identity", id="grace")
        await caller.until(lambda: caller.said("identity"))
        swapped = len(caller.frames)
        await caller.until(lambda: len(caller.frames) > swapped + 5)
        green = [frame.rgb[1] for frame in caller.frames]
        first = next(index for index, value in enumerate(green) if value > 0.5)
        assert all(value == pytest.approx(0.2, abs=0.05) for value in green[:first])
        assert all(value == pytest.approx(0.9, abs=0.05) for value in green[first:])
        assert caller.said("identity") == [{"t": "identity", "id": "grace"}]
        assert session.snapshot()["identity"] == "grace"
        assert_every_frame_is_accounted_for(caller, session)


async def test_controls_move_the_face_smoothly_and_what_is_not_obeyed_is_said():
    async with calls(Loudness(), STILL) as [(caller, _, _)]:
        await caller.until(lambda: len(caller.frames) > 3)
        assert set(caller.said("hello")[0]["controls"]) == {"headYaw", "jawOpen", "lipGain", "speechIntensity"}
        caller.tell(t="controls", values={"headYaw": 20, "tongueOut": 1, "unheard": 1, "emotion": "sad", "lipGain": 1})
        await caller.until(lambda: caller.frames[-1].rgb[2] > 0.97)
        assert caller.said("notice")[0]["code"] == "not_obeyed"
        assert caller.said("notice")[0]["message"].endswith("does not obey: emotion, tongueOut")


async def test_the_look_ahead_can_be_turned_while_frames_go_on():
    system = Loudness()
    async with calls(system, STILL) as [(caller, session, _)]:
        await caller.until(lambda: len(caller.frames) > 5)
        caller.tell(t="lookahead", ms=190)
        await caller.until(lambda: system.lookaheads[-1] == 200)
        caller.tell(t="lookahead", ms=0)
        await caller.until(lambda: system.lookaheads[-1] == 0)
        assert session.lookahead_ms == 0
        media = [caller.media_ms(frame) for frame in caller.frames]
        assert media == sorted(set(media))
        assert [notice["message"] for notice in caller.said("notice") if notice["code"] == "lookahead"] == [
            "look-ahead is 200 ms",
            "look-ahead is 0 ms",
        ]


async def test_an_interruption_darkens_the_face_at_once():
    long_talk = opus_packets(tone(1.6, rate=48_000))
    async with calls(Loudness(), STILL) as [(caller, _, _)]:
        speaking = asyncio.ensure_future(caller.speak(long_talk))
        await caller.until(lambda: bright_ms(caller))
        caller.tell(t="interrupt")
        await caller.until(lambda: caller.frames[-1].rgb[0] < 0.05)
        assert not speaking.done()
        speaking.cancel()


async def test_the_session_answers_while_a_model_step_is_running():
    system = Loudness(hold=threading.Event())
    async with calls(system, STILL) as [(caller, _, _)]:
        await asyncio.to_thread(system.entered.wait, 20)
        for number in range(5):
            caller.tell(t="ping", sent_ms=number)
        await caller.until(lambda: len(caller.said("pong")) == 5)  # the step has not ended yet
        assert caller.frames == []
        system.hold.set()
        await caller.until(lambda: len(caller.frames) > 3)
        assert all(name.startswith("model") for name in system.threads)


async def test_a_model_that_is_too_slow_loses_frames_but_queues_none():
    async with calls(Loudness(step_s=0.100), STILL) as [(caller, session, _)]:
        await caller.speak(SILENCE[:100])
        snapshot = session.snapshot()
        assert snapshot["dropped"] > 0.3 * snapshot["sent"]
        assert snapshot["late"] > 0.5 * snapshot["sent"]
        assert snapshot["stages"]["queue"]["p50"] < 100  # one that waits is replaced by a newer one
        assert_every_frame_is_accounted_for(caller, session)


async def test_a_model_that_fails_ends_its_session_and_no_other():
    good, bad = Loudness(), Loudness(fail=True)
    async with calls(bad, STILL) as [(_, failed, task)], calls(good, STILL) as [(caller, session, _)]:
        async with asyncio.timeout(20):
            await task
        assert failed.state == "closed: internal error"
        seen = len(caller.frames)
        await caller.until(lambda: len(caller.frames) > seen + 5)
        assert session.state == "live"


async def test_a_spoiled_frame_shows_the_one_before_and_is_counted_and_told():
    system = Loudness()
    async with calls(system, STILL) as [(caller, session, _)]:
        await caller.until(lambda: len(caller.frames) > 5)
        system.level = float("nan")
        await caller.until(lambda: session.snapshot()["replaced"] > 3)
        system.level = 1.0
        replaced, seen = session.snapshot()["replaced"], len(caller.frames)
        await caller.until(lambda: len(caller.frames) > seen + 5)
        assert session.snapshot()["replaced"] in (replaced, replaced + 1)  # one may have been on its way
        assert [notice["code"] for notice in caller.said("notice")].count("bad_frame") == 1
        assert all(frame.rgb[1] == pytest.approx(0.2, abs=0.05) for frame in caller.frames)
        assert_every_frame_is_accounted_for(caller, session)


async def test_a_session_is_told_when_its_quality_gives_way_and_when_it_is_back():
    async with calls(Loudness(), STILL) as [(caller, session, _)]:
        await caller.until(lambda: len(caller.frames) > 3)
        for place, rung in ((1, "half"), (2, "still"), (0, "full")):
            session._studio._ladder._go(place, time.monotonic())
            await caller.until(lambda rung=rung: session.snapshot()["quality"] == rung)
        await caller.until(lambda: len(caller.said("notice")) == 3)
        told = [(notice["code"], notice["rung"]) for notice in caller.said("notice")]
        assert told == [("quality", "half"), ("quality", "still"), ("quality", "full")]
        assert "12.5 pictures a second" in caller.said("notice")[0]["message"]


async def test_a_lost_picture_is_answered_by_a_key_frame():
    async with calls(Loudness(), STILL) as [(caller, session, _)]:
        await caller.until(lambda: len(caller.frames) > 5)
        keys: list[bool] = []
        take = caller._take_video

        def watch(packet) -> None:
            keys.append(bool(packet.payload[0] & 0x10) and not packet._data[0] & 1)
            take(packet)

        caller._tap(caller.video.receiver, watch)
        await caller.until(lambda: len(keys) > 5)
        assert not any(keys)
        await caller.video.receiver._send_rtcp_pli(session._face_out._sender._ssrc)
        await caller.until(lambda: any(keys))


async def test_stats_and_snapshot_say_the_same_things():
    async with calls(Loudness(), STILL) as [(caller, session, _)]:
        await caller.speak(SILENCE[:60])
        await caller.until(lambda: len(caller.said("stats")) == 2)
        stats = caller.said("stats")[-1]
        assert set(stats) - {"t"} == set(session.snapshot())
        assert tuple(stats["stages"]) == STAGES
        spans = stats["stages"]
        assert all(spans[name]["p50"] <= spans[name]["p95"] <= spans[name]["p99"] for name in STAGES)
        assert stats["lookahead_ms"] == 40
        assert 0 < stats["fps"] <= 35


async def test_no_voice_is_sent_back_where_none_is_wanted():
    async with calls(Loudness(), SessionOptions(idle=False, voice=False)) as [(caller, session, _)]:
        await caller.speak(SILENCE[:30])
        assert caller.said("hello")[0]["audio_rtp_origin"] == 0
        assert caller.voice == []
        assert session.snapshot()["voice_delay_ms"] is None


async def test_a_cancelled_session_lets_its_connection_go():
    async with calls(Loudness(), STILL) as [(_, session, task)]:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert session.state == "closed: cancelled"
        assert session._connection.connectionState == "closed"
