"""Nothing that runs asks the network for anything: weights, page and tools are all here."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

# Children inherit the hook when they are forked, as those of multiprocessing are.
WATCH = """
import ipaddress, os, sys

def is_local(host):
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False

def watch(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple) and not is_local(args[1][0]):
        os.write(2, f"ASKED: connect {args[1]}\\n".encode())
    elif event == "socket.getaddrinfo" and not is_local(args[0]):
        os.write(2, f"ASKED: look up {args[0]}\\n".encode())
    elif event == "urllib.Request":
        os.write(2, f"ASKED: {args[0]}\\n".encode())

sys.addaudithook(watch)
"""


def asked(code, cache):
    """What a fresh interpreter asked for while it ran `code`, with an empty cache folder as after installing."""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-c", WATCH + code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("ASKED")]


def test_the_watch_sees_a_look_up_a_connection_and_a_child(tmp_path):
    code = """
import socket
try:
    socket.create_connection(("192.0.2.1", 9), timeout=0.01)
except OSError:
    pass
if os.fork() == 0:
    socket.getaddrinfo("127.0.0.1", 1)
    try:
        socket.getaddrinfo("name.invalid", 1)
    except OSError:
        pass
    os._exit(0)
os.wait()
"""
    assert asked(code, tmp_path) == [
        "ASKED: look up 192.0.2.1",
        "ASKED: connect ('192.0.2.1', 9)",
        "ASKED: look up name.invalid",
    ]


def test_the_first_start_of_the_server_asks_the_network_for_nothing(tmp_path):
    code = f"""
import asyncio
from pathlib import Path
from stream.app import create_app
from stream.config import ServeConfig

async def until_ready():
    app = create_app(ServeConfig(data_dir=Path({str(tmp_path)!r})))
    async with app.router.lifespan_context(app):
        await app.state.service.loaded()
        assert app.state.service.ready, app.state.service.failure

asyncio.run(until_ready())
"""
    assert asked(code, tmp_path) == []
