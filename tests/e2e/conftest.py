"""A real server and a real browser for each file, a call for each test.

They end with their file: Playwright keeps an event loop running, which the asyncio tests of other files cannot have.
"""

from pathlib import Path

import pytest
from PIL import Image, ImageOps

from benchmarks.live_server import LiveServer
from stream.probe_browser import chromium
from tests.e2e.call import Call

DEMO_DIR = Path(__file__).parents[2] / "models" / "identities"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with LiveServer(tmp_path_factory.mktemp("data"), ["--max-sessions", "2", "--idle-timeout-s", "5"]) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def new_call(browser, server):
    """Opens pages, each in a browser context of its own; all are closed after the test."""
    calls = []

    def open_call(*, script="", viewport=None, in_browser=None, **query):
        calls.append(Call(in_browser or browser, server.url, script=script, viewport=viewport, query=query))
        return calls[-1]

    yield open_call
    for call in calls:
        call.close()
    assert server.running, server.log()


@pytest.fixture
def call(new_call):
    """A live call that says nothing yet."""
    return new_call(autostart=1, idle=0).until_live()


@pytest.fixture
def friend_photo(tmp_path):
    """A demo face in a mirror, which the server has not seen."""
    path = tmp_path / "a friend.png"
    ImageOps.mirror(Image.open(next(DEMO_DIR.glob("*.[jp][pn]g"))).convert("RGB")).save(path)
    return path
