"""What two processes say to each other, over a real Unix domain socket."""

import asyncio
import os
import socket

import msgpack
import pytest

from models.errors import PhotoError
from stream.errors import BusyError, EngineError, NotReadyError, UnknownIdentityError
from stream.processes.engine_line import VERSION, EngineLine

ERRORS = {
    "busy": BusyError("sessions", 3, 5),
    "nobody": UnknownIdentityError("eve"),
    "photo": PhotoError("no_face", "take it from the front"),
}


class Speaker:
    """Answers with what it was asked, and keeps what happens."""

    def __init__(self):
        self.heard, self.ends = [], []
        self.is_open, self.is_closed, self.began = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.cancelled = False

    def opened(self, line):
        self.is_open.set()

    async def answer(self, line, kind, fields):
        if kind in ERRORS:
            raise ERRORS[kind]
        if kind == "mistake":
            raise ZeroDivisionError
        if kind == "never":
            try:
                self.began.set()
                await asyncio.Event().wait()
            finally:
                self.cancelled = True
        return {"kind": kind, **fields}

    def told(self, line, kind, fields):
        self.heard.append((kind, fields))

    def closed(self, line, error):
        self.ends.append((error, self.cancelled))
        self.is_closed.set()


@pytest.fixture
async def pair(tmp_path):
    """The two ends of a line: ((speaker, line) of the engine, (speaker, line) of the gateway)."""
    loop, path = asyncio.get_running_loop(), str(tmp_path / "engine")
    ends = [(speaker, EngineLine(speaker, name)) for speaker, name in ((Speaker(), "engine"), (Speaker(), "gateway-1"))]
    server = await loop.create_unix_server(lambda: ends[0][1], path)
    await loop.create_unix_connection(lambda: ends[1][1], path)
    for speaker, _ in ends:
        await speaker.is_open.wait()
    yield ends
    for _, line in ends:
        line.close()
    for speaker, _ in ends:
        await speaker.is_closed.wait()
    server.close()


async def test_both_ends_ask_and_tell_and_know_each_others_name(pair):
    (at_engine, engine), (_, gateway) = pair
    assert (engine.peer, gateway.peer) == ("gateway-1", "engine")
    gateway.tell("missed")
    photo = os.urandom(10_000_000)  # the largest that may be uploaded
    answers = await asyncio.gather(gateway.ask("add", photo=photo), gateway.ask("seat", n=1), engine.ask("metrics"))
    assert answers == [{"kind": "add", "photo": photo}, {"kind": "seat", "n": 1}, {"kind": "metrics"}]
    assert at_engine.heard == [("missed", {})]


@pytest.mark.parametrize("kind", ERRORS)
async def test_an_error_that_a_caller_can_act_on_arrives_as_it_was_raised(pair, kind):
    _, (_, gateway) = pair
    with pytest.raises(type(ERRORS[kind])) as raised:
        await gateway.ask(kind)
    assert vars(raised.value) == vars(ERRORS[kind])
    assert str(raised.value) == str(ERRORS[kind])


async def test_any_other_error_stays_in_the_log_of_who_made_it(pair, caplog):
    _, (_, gateway) = pair
    with pytest.raises(EngineError, match=r"mistake.*log says more"):
        await gateway.ask("mistake")
    assert "ZeroDivisionError" in caplog.text


async def test_who_waits_for_an_answer_is_told_that_the_other_end_is_gone(pair):
    (at_engine, engine), (at_gateway, gateway) = pair
    asking = asyncio.create_task(gateway.ask("never"))
    await at_engine.began.wait()
    engine.close()
    with pytest.raises(NotReadyError):
        await asking
    await asyncio.gather(at_engine.is_closed.wait(), at_gateway.is_closed.wait())
    assert at_engine.ends == [(None, True)]  # told of the end once nothing is under way any more
    with pytest.raises(NotReadyError):
        await gateway.ask("seat")


async def test_an_answer_that_nobody_waits_for_any_more_does_no_harm(pair):
    _, (_, gateway) = pair
    asking = asyncio.create_task(gateway.ask("seat"))
    await asyncio.sleep(0)
    asking.cancel()
    assert await gateway.ask("seat", n=2) == {"kind": "seat", "n": 2}


@pytest.mark.parametrize("hello", [["hello", VERSION + 1, "engine"], ["what", 1]], ids=["newer", "nonsense"])
async def test_another_version_is_an_error_that_says_so(tmp_path, hello):
    speaker, path = Speaker(), tmp_path / "engine"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        await asyncio.get_running_loop().create_unix_connection(lambda: EngineLine(speaker, "gateway-1"), str(path))
        with server.accept()[0] as other:
            other.sendall(msgpack.packb(hello))
            await speaker.is_closed.wait()
    [(error, _)] = speaker.ends
    assert not speaker.is_open.is_set()
    if hello[0] == "hello":
        assert f"engine speaks version {VERSION + 1} of the engine's messages, want {VERSION}" in str(error)
