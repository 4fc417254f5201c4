"""`visavis serve --gateways 2` as a user has it: real processes with the real system, and what is killed of them."""

import asyncio
import contextlib
import os
import re
import signal
from pathlib import Path

import httpx
import pytest

from benchmarks.live_server import LiveServer
from tests.stream.fakes import tone
from tests.stream.peer import Caller, opus_packets

SPEECH = opus_packets(tone(60.0, rate=48_000))


class Server(LiveServer):
    """Its processes by name, as its log tells them."""

    def pid(self, name):
        return int(re.findall(rf"{name} is process (\d+)", self.log())[-1])

    async def ask(self, method, path, **content):
        """One request on a connection of its own: any of the gateways gets it."""
        async with httpx.AsyncClient() as client:
            return await client.request(method, self.url + path, timeout=20, **content)

    def maps(self, name):
        """The files that one of its processes has in memory."""
        return Path(f"/proc/{self.pid(name)}/maps").read_text()

    async def per_gateway(self, metric):
        page = (await self.ask("GET", "/metrics")).text
        return {name: float(value) for name, value in re.findall(rf'^{metric}{{process="(.*?)"}} (\S+)$', page, re.M)}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("data"), ["--gateways", "2", "--max-sessions", "2"]) as running:
        yield running


async def until(condition, seconds=60.0):
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(httpx.TransportError):  # what a gateway had accepted when it was killed
                if await condition():
                    return
            await asyncio.sleep(0.05)


def rungs(caller):
    """What the caller was told of the quality, in turn: a busy machine tells of its own rungs too."""
    return [notice["rung"] for notice in caller.said("notice")]


@contextlib.asynccontextmanager
async def call(server):
    """A caller who speaks; their session's id."""
    caller = Caller()
    offer = {"sdp": await caller.offer(), "type": "offer", "identity": "ada", "options": {"idle": False}}

    async def opened():
        nonlocal answer
        answer = await server.ask("POST", "/v1/sessions", json=offer)
        return answer.status_code == 201

    answer = None
    await until(opened)
    await caller.accept(answer.json()["sdp"])
    speaking = asyncio.create_task(caller.speak(SPEECH))
    await caller.until(lambda: len(caller.frames) > 3)
    try:
        yield caller, answer.json()["id"]
    finally:
        speaking.cancel()
        await caller.close()


async def test_gateways_and_the_engine_die_and_come_back_and_their_callers_fare_accordingly(server):
    everyone = {"engine", "gateway-1", "gateway-2"}

    async def all_there():
        return set(await server.per_gateway("process_resident_memory_bytes")) == everyone

    async def killed(name):
        """Kill one of them, and wait for the process that takes its place."""
        os.kill(dead := server.pid(name), signal.SIGKILL)

        async def replaced():
            return server.pid(name) != dead and await all_there()

        await until(replaced)

    await until(all_there)
    assert {name for name in everyone if "openvino" in server.maps(name)} == {"engine"}
    async with call(server) as (caller, session):
        # any gateway tells of any session, and the engine counts them all
        for _ in range(6):
            assert (await server.ask("GET", f"/v1/sessions/{session}")).json()["state"] == "live"
        async with call(server) as (_, other_session):
            refused = await server.ask("POST", "/v1/sessions", json={"sdp": "any", "type": "offer"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
            assert (await server.ask("DELETE", f"/v1/sessions/{other_session}")).status_code == 204
            assert (await server.ask("GET", f"/v1/sessions/{other_session}")).status_code == 404

        # a gateway dies: the callers of the other notice nothing, and a new one takes its place
        held = await server.per_gateway("visavis_sessions")
        theirs, others = sorted(("gateway-1", "gateway-2"), key=lambda name: -held[name])
        assert (held[theirs], held[others]) == (1, 0)
        seen = len(caller.frames)
        await killed(others)
        assert len(caller.frames) > seen
        assert "away" not in rungs(caller)

        # the engine dies: the same session goes on with its sound, is told, and gets its pictures back
        os.kill(server.pid("engine"), signal.SIGKILL)
        await caller.until(lambda: "away" in rungs(caller))
        assert (await server.ask("GET", "/readyz")).status_code == 503
        frames, packets = len(caller.frames), len(caller.voice)
        await caller.until(lambda: len(caller.frames) > frames + 10 and len(caller.voice) > packets + 20)
        await caller.until(lambda: "full" in rungs(caller)[rungs(caller).index("away") :], 90)
        assert (await server.ask("GET", "/readyz")).status_code == 200
        rested = caller.frames[-1].rgb
        caller.tell(t="controls", values={"headYaw": 20.0})
        await caller.until(lambda: max(abs(a - b) for a, b in zip(caller.frames[-1].rgb, rested, strict=True)) > 0.01)
        assert (await server.ask("GET", f"/v1/sessions/{session}")).json()["state"] == "live"

        # their own gateway dies: a call is over, and its place free
        await killed(theirs)
    async with call(server), call(server):
        pass


def test_told_to_stop_it_ends_with_all_that_it_started(server):
    pids = [server.pid(name) for name in ("engine", "gateway-1", "gateway-2")]
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    server.__exit__()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
