"""Faces that are heard and encoded here and drawn behind a real socket, by an engine with its own store and batches."""

import asyncio
import threading
import time
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import msgpack
import numpy as np
import pytest

from models.system import FRAME_MS, KnownFacts
from stream.compose import planes
from stream.config import ServeConfig
from stream.errors import BusyError, NotReadyError, UnknownIdentityError, UnknownSessionError
from stream.face import DueMark, Face, FrameJob, Orders
from stream.hearing import Hearing
from stream.identities import IdentityStore
from stream.local_engine import LocalEngine
from stream.metrics import Metrics, one_page
from stream.processes.engine_desk import Desk
from stream.processes.engine_line import VERSION, EngineLine
from stream.processes.far_engine import FarEngine
from stream.processes.far_frame import unpack
from stream.processes.far_store import FarIdentity
from stream.processes.far_studio import FarStudio
from stream.processes.picture_slots import make_memory
from stream.worker import ModelWorker
from tests.stream.fakes import KeepingEncoder, tone
from tests.stream.http_fakes import TintSystem, decode, demo_dir, photo

SOUND = tone(2.0)


class Held(TintSystem):
    """Draws each frame when it is let."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()
        self.go.set()

    def step(self, *args):
        assert self.go.wait(10)
        return super().step(*args)


def local(tmp_path, system=None, **config):
    """An engine in this process that draws two demo faces."""
    demos = tmp_path / "demos"
    if not demos.exists():
        demo_dir(demos)
    told = ServeConfig(data_dir=tmp_path / "data", gateways=2, **config)
    return told, LocalEngine(
        told, lambda: system or TintSystem(), partial(IdentityStore, demo_dir=demos, decode=decode)
    )


@asynccontextmanager
async def engine_at(tmp_path, memory, system=None, **config):
    """An engine that gateways reach by `tmp_path / "engine"`; its batcher."""
    told, engine = local(tmp_path, system, **config)
    desk = Desk(told, engine, Metrics(), memory)
    engine.start()
    path = str(tmp_path / "engine")
    server = await asyncio.get_running_loop().create_unix_server(lambda: EngineLine(desk, "engine"), path)
    await engine.loaded()
    desk.open()
    try:
        yield engine.studio
    finally:
        server.close()
        desk.close()
        await engine.stop()


async def nothing(kind, fields):
    if kind == "session":
        raise UnknownSessionError(fields["id"])
    return {"told": Metrics().told()}


@asynccontextmanager
async def gateway(tmp_path, memory, name="gateway-1", answer=nothing):
    far = FarEngine(name, tmp_path / "engine", memory, answer, lambda: None)
    far.start()
    await far.loaded()
    try:
        yield far
    finally:
        await far.stop()


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class Call:
    """One stream: each frame hears the next 40 ms of `SOUND`."""

    def __init__(self, studio, seat):
        self.studio, self.frame = studio, 0
        self.encoder = KeepingEncoder()
        self.face = Face(Hearing(studio.system, lookahead_ms=0, idle=False), seat, self.encoder)

    async def next(self, orders=None, late_s=60.0):
        end = 16 * FRAME_MS * self.frame
        due = DueMark(self.frame, 0, end, 0.0, time.monotonic() + late_s)
        samples = SOUND[self.face.heard_samples : end]
        self.frame += 1
        return await self.studio.draw(FrameJob(self.face, due, samples, orders or Orders(), key=False, bitrate=0))

    @property
    def luma(self):
        return float(planes(self.encoder.pixels)[0].mean())


@pytest.mark.parametrize("framing", ["head", "photo"])
async def test_pictures_drawn_elsewhere_are_those_drawn_here(tmp_path, framing):
    memory = make_memory()
    _, here = local(tmp_path, framing=framing)
    here.start()
    await here.loaded()
    one = Call(here.studio, await here.seat("milo"))
    async with engine_at(tmp_path, memory, framing=framing), gateway(tmp_path, memory) as far:
        other = Call(far.studio, await far.seat("milo"))
        for _ in range(12):
            drawn, drawn_elsewhere = await one.next(), await other.next()
            assert drawn.payloads == drawn_elsewhere.payloads
            assert (drawn.repeated, drawn.broken) == (drawn_elsewhere.repeated, drawn_elsewhere.broken)
    await here.stop()


async def test_without_its_engine_a_face_is_repeated_and_then_goes_on_in_a_new_seat(tmp_path):
    memory, first = make_memory(), AsyncExitStack()
    await first.enter_async_context(engine_at(tmp_path, memory, max_sessions=2))
    async with gateway(tmp_path, memory) as far:
        call, other = [Call(far.studio, await far.seat(name)) for name in ("ada", "milo")]
        assert not (await call.next()).repeated
        await first.aclose()
        await until(lambda: not far.ready)
        assert call.studio.rung == "away"
        before = call.luma
        for _ in range(40):
            shown = await call.next()
            assert shown.repeated
        assert call.luma == before
        with pytest.raises(NotReadyError):
            await far.seat("ada")
        # who was let in once stays in, however many the next engine would admit
        async with engine_at(tmp_path, memory, max_sessions=1) as batcher:
            await until(lambda: far.ready)
            shown = await drawn_again(call)
            assert not shown.repeated
            assert call.studio.rung == "full"
            assert call.luma > before  # it hears, so it glows
            await drawn_again(other)
            assert sorted(seat.row for seat in batcher._shares) == [0, 1]


async def drawn_again(call):
    async with asyncio.timeout(10):
        while (shown := await call.next()).repeated:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return shown


async def test_all_gateways_together_hold_as_many_callers_as_the_server_was_told(tmp_path):
    memory = make_memory()
    async with (
        engine_at(tmp_path, memory, max_sessions=2) as batcher,
        gateway(tmp_path, memory) as one,
        gateway(tmp_path, memory, "gateway-2") as other,
    ):
        first, second = await one.seat("ada"), await other.seat("ada")
        assert {first.row, second.row} == {0, 1}
        for far in (one, other):
            with pytest.raises(BusyError, match="all 2 sessions are taken"):
                await far.seat("milo")
        one.studio.leave(first)
        third = await other.seat("milo")
        assert third.row == first.row
        await other.stop()  # as if it were killed: its line breaks
        await until(lambda: not batcher._shares)
        assert (await one.seat("ada")).row in (0, 1)


async def test_a_caller_who_hangs_up_while_a_frame_is_drawn_leaves_after_it(tmp_path):
    memory, system = make_memory(), Held()
    async with engine_at(tmp_path, memory, system) as batcher, gateway(tmp_path, memory) as far:
        call = Call(far.studio, await far.seat("ada"))
        system.go.clear()
        drawing = asyncio.create_task(call.next())
        await until(batcher.phases.all_s)  # the engine has the frame
        drawing.cancel()
        await asyncio.wait([drawing])
        far.studio.leave(call.face.seat)
        await far.store.features("ada")  # the engine has heard of it
        assert len(batcher._shares) == 1
        system.go.set()
        await until(lambda: not batcher._shares)


async def test_an_upload_by_one_gateway_is_known_to_the_other_and_can_be_called_there(tmp_path):
    memory = make_memory()
    async with engine_at(tmp_path, memory), gateway(tmp_path, memory) as one, gateway(tmp_path, memory, "g2") as other:
        uploaded = await one.store.add(photo((10, 60, 10)), "Green")
        assert one.store.find(uploaded.id) == uploaded
        call = Call(other.studio, await other.seat("ada"))
        await call.next()
        assert other.store.find(uploaded.id).name == "Green"
        assert (await other.store.picture(uploaded.id))[:2] == b"\xff\xd8"
        swapped = await call.next(Orders(identity=(uploaded.id, await other.store.features(uploaded.id))))
        assert not swapped.repeated
        assert call.luma == pytest.approx(16 + 219 / 255 * (0.299 * 10 + 0.587 * 60 + 0.114 * 10), abs=16)
        for unknown in (other.seat("eve"), other.store.features("eve")):
            with pytest.raises(UnknownIdentityError):
                await unknown


async def test_a_gateway_finds_a_session_and_the_counters_of_the_others(tmp_path):
    memory, asked = make_memory(), []

    async def has_it(kind, fields):
        asked.append(kind)
        return {"id": fields["id"], "state": "live"} if kind == "session" else {"told": Metrics().told()}

    async with (
        engine_at(tmp_path, memory),
        gateway(tmp_path, memory) as one,
        gateway(tmp_path, memory, "gateway-2", has_it) as other,
    ):
        assert (await one.show_session("abc"))["state"] == "live"
        with pytest.raises(UnknownSessionError, match="abc"):
            await other.show_session("abc")
        page = one_page(await one.metrics(Metrics().told())).decode()
        assert asked == ["session", "metrics"]
    for process in ("engine", "gateway-1", "gateway-2"):
        assert f'visavis_frames_total{{outcome="sent",process="{process}"}} 0.0' in page
    assert page.count("# TYPE visavis_frames_total counter") == 1


async def test_a_gateway_gives_up_an_engine_of_another_version(tmp_path):
    async def greet(_, writer):
        writer.write(msgpack.packb(["hello", VERSION + 1, "engine"]))
        await writer.drain()
        writer.close()

    server, failed = await asyncio.start_unix_server(greet, tmp_path / "engine"), asyncio.Event()
    far = FarEngine("gateway-1", tmp_path / "engine", make_memory(), nothing, failed.set)
    far.start()
    await asyncio.wait_for(failed.wait(), 5)
    await far.loaded()
    assert f"want {VERSION}: restart the server" in str(far.failure)
    assert not far.ready
    await far.stop()
    server.close()


class Tardy:
    """An engine that comes too late for every frame but the third."""

    def __init__(self):
        self.asked, self.seats = [], asyncio.Event()
        self.seats.set()

    def opened(self, line):
        pass

    async def answer(self, line, kind, fields):
        if kind == "seat":
            await self.seats.wait()
            return {"slot": 0, "phases_s": [0.01]}
        self.asked.append(fields)
        return {"rung": "full", "late": len(self.asked) != 3, "shape": None, "broken": False}

    def told(self, line, kind, fields):
        pass

    def closed(self, line, error):
        pass


async def test_what_the_engine_had_no_time_for_comes_with_the_next_frame(tmp_path):
    tardy, path = Tardy(), str(tmp_path / "engine")
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: EngineLine(tardy, "engine"), path)
    _, line = await loop.create_unix_connection(lambda: EngineLine(Tardy(), "gateway"), path)
    facts = KnownFacts("tint", "log_mel80", (0, 40), 64, frozenset())
    with ModelWorker() as worker:
        studio = FarStudio(worker, make_memory(), facts)
        studio.connect(line)
        call = Call(studio, await studio.sit(FarIdentity("tint", 0, {}, None, "ada")))
        assert studio.roomiest([0.012, 0.03, 0.05], call.face.seat) == 1
        assert [await call.next() for _ in range(2)] == [None, None]
        for _ in range(2):
            await call.next()
        tardy.seats.clear()
        studio.disconnect()
        studio.connect(line)
        assert await call.next() is None  # there never was a picture, and the engine knows it not yet
    assert [asked["frames"] for asked in tardy.asked] == [[0], [0, 1], [0, 1, 2], [3]]
    heard = Hearing(facts, lookahead_ms=0, idle=False).push(SOUND[:1920])
    for due, sent in zip(heard[:3], unpack(tardy.asked[2]), strict=True):
        np.testing.assert_array_equal(due.features.values, sent.features.values)
        np.testing.assert_array_equal(due.controls.values, sent.controls.values)
        assert (due.frame, due.controls.lip_gain, due.features.lookahead_ms) == (
            *(sent.frame, sent.controls.lip_gain, sent.features.lookahead_ms),
        )
    line.close()
    server.close()
