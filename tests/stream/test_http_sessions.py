"""Sessions over HTTP, with a real aiortc caller on the loopback."""

import asyncio
import threading
import time
from contextlib import suppress

import pytest
import torch

from models.errors import ModelError
from stream.errors import BusyError, SystemFailedError, UnknownSessionError
from stream.registry import SessionRegistry
from tests.stream.fakes import tone
from tests.stream.http_fakes import TintSystem, application, photo, serving
from tests.stream.peer import Caller, opus_packets


@pytest.fixture
async def caller():
    caller = Caller()
    yield caller
    await caller.close()


async def call(client, caller, **fields):
    """Offer and accept; the answer's JSON."""
    response = await client.post("/v1/sessions", json={"sdp": await caller.offer(), "type": "offer", **fields})
    assert response.status_code == 201, response.text
    await caller.accept(response.json()["sdp"])
    return response.json()


async def test_a_call_is_answered_shown_counted_and_ended(tmp_path, caller):
    async with serving(application(tmp_path)) as client:
        answer = await call(client, caller, identity="milo", options={"lookahead_ms": 90, "idle": False})
        assert (answer["type"], answer["lookahead_ms"], answer["identity"]) == ("answer", 80, "milo")
        speaking = asyncio.create_task(caller.speak(opus_packets(tone(1.0, rate=48_000))))
        await caller.until(lambda: len(caller.frames) >= 10)
        address = f"/v1/sessions/{answer['id']}"
        shown = (await client.get(address)).json()
        assert (shown["state"], shown["identity"], shown["lookahead_ms"]) == ("live", "milo", 80)
        assert shown["sent"] >= 10
        assert shown["stages"]["render"]["p50"] > 0
        text = (await client.get("/metrics")).text
        assert "visavis_sessions 1.0" in text
        assert 'visavis_offers_total{outcome="opened"} 1.0' in text
        sent = next(line for line in text.splitlines() if line.startswith('visavis_frames_total{outcome="sent"}'))
        assert float(sent.split()[-1]) >= 10
        total = next(line for line in text.splitlines() if line.startswith('visavis_stage_seconds_sum{stage="total"}'))
        assert 0 < float(total.split()[-1]) < 10
        assert (await client.delete(address)).status_code == 204
        assert (await client.get(address)).status_code == 404
        assert "visavis_sessions 0.0" in (await client.get("/metrics")).text
        speaking.cancel()


async def test_without_an_identity_the_first_one_speaks(tmp_path, caller):
    async with serving(application(tmp_path, lookahead_ms=0)) as client:
        answer = await call(client, caller)
        assert (answer["identity"], answer["lookahead_ms"]) == ("ada", 0)


async def test_a_caller_chooses_another_system_which_is_loaded_then(tmp_path, caller, monkeypatch):
    loaded = []

    def load(name):
        loaded.append(name)
        return TintSystem(name=name)

    monkeypatch.setattr("stream.app.systems", lambda: ("visavis", "other", "unused"))
    monkeypatch.setattr("stream.app.load_system", load)
    app = application(tmp_path, system=TintSystem(name="visavis"))
    async with serving(app) as client:
        uploaded = (await client.post("/v1/identities", files={"photo": ("green.png", photo((10, 250, 10)))})).json()
        offer = {"type": "offer", "identity": uploaded["id"], "options": {"system": "other", "idle": False}}
        sdp = await caller.offer()
        assert not loaded
        begun = await client.post("/v1/sessions", json={**offer, "sdp": sdp})
        assert (begun.status_code, begun.json()["error"]["code"]) == (503, "not_ready")
        assert int(begun.headers["retry-after"]) > 0
        await app.state.service.engines.of("other").loaded()
        answer = await client.post("/v1/sessions", json={**offer, "sdp": sdp})
        assert (answer.status_code, answer.json()["identity"]) == (201, uploaded["id"])
        await caller.accept(answer.json()["sdp"])
        speaking = asyncio.create_task(caller.speak(opus_packets(0 * tone(2.0, rate=48_000))))
        await caller.until(lambda: caller.frames and caller.frames[-1].rgb[1] > 0.8)
        assert caller.said("hello")[0]["system"] == "other"
        speaking.cancel()
    assert loaded == ["other"]


@pytest.mark.parametrize(
    ("only", "code", "told"),
    [
        (False, "failed", "the system other could not be loaded (weights are gone): choose another"),
        (True, "unknown_system", "got system 'other', want one of: tint"),
    ],
)
async def test_a_system_that_cannot_be_chosen_is_told_and_the_servers_own_goes_on(
    tmp_path, caller, monkeypatch, only, code, told
):
    def load(name):
        raise ModelError("weights are gone")

    monkeypatch.setattr("stream.app.systems", lambda: ("other",))
    monkeypatch.setattr("stream.app.load_system", load)
    app = application(tmp_path, only=only)
    async with serving(app) as client:
        sdp = await caller.offer()
        offer = {"sdp": sdp, "type": "offer", "options": {"system": "other"}}
        if not only:
            assert (await client.post("/v1/sessions", json=offer)).status_code == 503
            with suppress(SystemFailedError):  # if it has failed already
                await app.state.service.engines.of("other").loaded()
        refused = await client.post("/v1/sessions", json=offer)
        assert (refused.status_code, refused.json()["error"]) == (422, {"code": code, "message": told})
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.post("/v1/sessions", json={**offer, "options": {}})).status_code == 201


def without_audio(sdp):
    head, audio, rest = sdp.partition("m=audio")
    return head + rest[rest.index("m=video") :] if audio else sdp


def without_video(sdp):
    head, _, rest = sdp.partition("m=video")
    return head + rest[rest.index("m=application") :]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda sdp: "garbage", "not_sdp"),
        (lambda sdp: sdp[:60], "not_sdp"),
        (lambda sdp: sdp + "a=x\r\n" * 14_000, "too_large"),
        (without_audio, "no_audio"),
        (lambda sdp: sdp.replace("a=sendrecv", "a=recvonly", 1), "no_audio"),
        (without_video, "no_video"),
    ],
    ids=["garbage", "cut short", "too long", "video only", "listening only", "sound only"],
)
async def test_an_offer_that_cannot_be_served_is_refused_with_its_reason(tmp_path, caller, spoil, code):
    async with serving(application(tmp_path, max_sessions=1)) as client:
        sdp = await caller.offer()
        refused = await client.post("/v1/sessions", json={"sdp": spoil(sdp), "type": "offer", "identity": "ada"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, code)
        assert f'visavis_offers_total{{outcome="{code}"}} 1.0' in (await client.get("/metrics")).text
        served = await client.post("/v1/sessions", json={"sdp": sdp, "type": "offer", "identity": "ada"})
        assert served.status_code == 201  # the refused one holds no place


async def test_one_caller_too_many_is_told_when_to_come_again_and_gets_the_next_free_place(tmp_path, caller):
    second = Caller()
    async with serving(application(tmp_path, max_sessions=1)) as client:
        first = await call(client, caller)
        offer = {"sdp": await second.offer(), "type": "offer"}
        refused = await client.post("/v1/sessions", json=offer)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
        assert int(refused.headers["retry-after"]) > 0
        await client.delete(f"/v1/sessions/{first['id']}")
        assert (await client.post("/v1/sessions", json=offer)).status_code == 201
    await second.close()


@pytest.mark.parametrize("told", [None, 2])
async def test_nobody_is_let_in_whom_the_event_loop_has_no_time_for_unless_told_to(tmp_path, caller, told):
    async def work():
        while True:
            end_s = time.thread_time() + 0.02
            while time.thread_time() < end_s:
                pass
            await asyncio.sleep(0)

    second, app = Caller(), application(tmp_path, max_sessions=told)
    async with serving(app) as client:
        first = await call(client, caller)
        offer, load = {"sdp": await second.offer(), "type": "offer"}, app.state.service.registry.load
        working = asyncio.create_task(work())
        await caller.until(lambda: load.each > 0.45)
        working.cancel()
        refused = await client.post("/v1/sessions", json=offer)
        if told is None:
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
            assert int(refused.headers["retry-after"]) > 0
            await client.delete(f"/v1/sessions/{first['id']}")
            refused = await client.post("/v1/sessions", json=offer)
        assert refused.status_code == 201
    await second.close()


async def test_a_silent_caller_is_closed_after_the_idle_timeout(tmp_path, caller):
    app = application(tmp_path, idle_timeout_s=1)
    async with serving(app) as client:
        answer = await call(client, caller)
        await caller.until(lambda: len(app.state.service.registry) == 0)
        assert (await client.get(f"/v1/sessions/{answer['id']}")).status_code == 404


async def test_the_face_is_swapped_to_an_upload_while_connected(tmp_path, caller):
    async with serving(application(tmp_path)) as client:
        await call(client, caller, identity="ada", options={"idle": False})
        speaking = asyncio.create_task(caller.speak(opus_packets(0 * tone(3.0, rate=48_000))))
        uploaded = await client.post("/v1/identities", files={"photo": ("green.png", photo((10, 250, 10)))})
        caller.tell(t="identity", id=uploaded.json()["id"])
        await caller.until(lambda: caller.frames and caller.frames[-1].rgb[1] > 0.8)
        caller.tell(t="identity", id="nobody")
        await caller.until(lambda: caller.said("error"))
        assert caller.said("identity")[-1]["id"] == uploaded.json()["id"]
        speaking.cancel()


async def test_stopping_the_server_says_goodbye_to_every_caller(tmp_path, caller):
    app = application(tmp_path)
    async with serving(app) as client:
        answer = await call(client, caller)
        session = app.state.service.registry.get(answer["id"])
    assert session.state == "closed: the server is shutting down"
    assert len(app.state.service.registry) == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("model", "aside"))]


class StubbornSession:
    """Runs until it is cancelled, whatever it is told."""

    def __init__(self, session_id, fail=False):
        self.id = session_id
        self.fail = fail
        self.cut_off = False

    async def run(self):
        if self.fail:
            raise RuntimeError("broken")
        try:
            await asyncio.Event().wait()
        finally:
            self.cut_off = True

    async def close(self, reason):
        self.reason = reason


def made(session):
    async def make():
        return session

    return make


async def test_a_session_that_does_not_end_is_cut_off(monkeypatch):
    monkeypatch.setattr("stream.registry.CLOSING_S", 0.01)
    registry, stubborn = SessionRegistry(2), StubbornSession("a")
    await registry.open(made(stubborn))
    await registry.close("a", "enough")
    assert (stubborn.cut_off, stubborn.reason, len(registry)) == (True, "enough", 0)


async def test_a_session_that_fails_frees_its_place_and_leaves_the_others_alone():
    registry, good = SessionRegistry(2), StubbornSession("good")
    await registry.open(made(good))
    await registry.open(made(StubbornSession("bad", fail=True)))
    await asyncio.sleep(0)  # it runs, and fails
    assert registry.get("good") is good
    with pytest.raises(UnknownSessionError):
        registry.get("bad")
    await registry.open(made(StubbornSession("next")))
    await asyncio.gather(*(asyncio.wait_for(cut(registry, name), 1) for name in ("good", "next")))


async def cut(registry, name):
    for task in asyncio.all_tasks():
        if task.get_name() == f"{name}/run":
            task.cancel()
            await asyncio.wait([task])


async def test_a_caller_who_is_still_connecting_holds_a_place():
    registry, go = SessionRegistry(1), asyncio.Event()

    async def slow():
        await go.wait()
        return StubbornSession("slow")

    opening = asyncio.create_task(registry.open(slow))
    await asyncio.sleep(0)
    with pytest.raises(BusyError, match="all 1 sessions are taken"):
        await registry.open(made(StubbornSession("other")))
    go.set()
    await opening
    assert (len(registry), registry.opened, registry.refused) == (1, 1, 1)
    await cut(registry, "slow")


class Frail(TintSystem):
    """Fails to enrol, and to draw who is in `hurt`, while it has an `error`."""

    error = None

    def __init__(self, hurt=lambda identity: True):
        super().__init__()
        self.hurt = hurt

    def enroll(self, photo, framing="head"):
        if self.error is not None:
            raise self.error
        return super().enroll(photo, framing)

    def step(self, identities, features, controls, state):
        if self.error is not None and any(map(self.hurt, identities)):
            raise self.error
        return super().step(identities, features, controls, state)


def dark(identity):
    return bool(identity.tensors["tint"][0] < 0)  # milo is, ada is not


async def test_a_face_for_which_there_is_no_memory_is_refused_and_the_others_go_on(tmp_path, caller):
    system, second = Frail(dark), Caller()
    async with serving(application(tmp_path, system, max_sessions=2)) as client:
        await call(client, caller, identity="ada")
        system.error = torch.OutOfMemoryError("CUDA out of memory")
        offer = {"sdp": await second.offer(), "type": "offer", "identity": "milo"}
        refused = await client.post("/v1/sessions", json=offer)
        upload = await client.post("/v1/identities", files={"photo": ("red.png", photo((250, 10, 10)))})
        for answer in (refused, upload):
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_memory")
            assert int(answer.headers["retry-after"]) > 0
        assert "no memory left for another face" in refused.json()["error"]["message"]
        seen = len(caller.frames)
        await caller.until(lambda: len(caller.frames) > seen + 3)
        system.error = None
        assert (await client.post("/v1/sessions", json=offer)).status_code == 201
    await second.close()


async def test_a_device_that_vanishes_ends_its_sessions_with_the_reason_and_the_server_starts_over(
    tmp_path, caller, monkeypatch
):
    monkeypatch.setattr("stream.local_engine.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("stream.local_engine.RELOAD_S", 0.05)
    system, second = Frail(), Caller()
    app = application(tmp_path, system)
    async with serving(app) as client:
        answer = await call(client, caller)
        await caller.until(lambda: len(caller.frames) > 3)
        session = app.state.service.registry.get(answer["id"])
        system.error = torch.AcceleratorError("CUDA error: unspecified launch failure")
        await caller.until(lambda: session.state.startswith("closed"))
        assert "the device that draws the faces is gone" in session.state
        await caller.until(lambda: not app.state.service.ready)
        assert (await client.get("/readyz")).status_code == 503
        offer = {"sdp": await second.offer(), "type": "offer"}
        assert (await client.post("/v1/sessions", json=offer)).status_code == 503
        system.error = None
        await second.until(lambda: app.state.service.ready)
        assert (await client.post("/v1/sessions", json=offer)).status_code == 201
    await second.close()
