"""What starts the processes, ends them, and says why it cannot."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from stream.config import ServeConfig
from stream.errors import AddressError, PlatformError, SocketPathError
from stream.listen_socket import listen, reserve
from stream.processes import supervisor
from stream.processes.supervisor import restart_delay_s, supervise

ROOT = Path(__file__).parents[3]


@contextlib.contextmanager
def started(tmp_path, *words):
    command = [sys.executable, "-m", "stream.cli", "serve", "--port", "0", "--data-dir", str(tmp_path), *words]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_process_that_keeps_dying_is_started_ever_more_rarely_but_always_again():
    assert [restart_delay_s(deaths) for deaths in (0, 1, 2, 3, 5, 6, 1000)] == [0.0, 0.5, 1.0, 2.0, 8.0, 10.0, 10.0]


def drained(listener):
    """How many callers waited."""
    listener.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            count += 1
    return count


def test_listeners_share_a_reserved_port_and_all_of_them_get_callers():
    with reserve("127.0.0.1", 0) as port:
        address = port.getsockname()
        with listen(*address, shared=True) as one, listen(*address, shared=True) as other:
            callers = [socket.create_connection(address) for _ in range(64)]
            accepted = [drained(one), drained(other)]
            assert sum(accepted) == 64
            assert min(accepted) > 8
            for caller in callers:
                caller.close()
            with pytest.raises(AddressError, match="choose another --host or --port"):
                reserve(*address)  # a second server must not take half of the callers


@pytest.mark.parametrize(("owner", "lacks"), [(socket, "SO_REUSEPORT"), (os, "memfd_create")])
def test_a_platform_that_lacks_something_is_told_before_anything_starts(monkeypatch, owner, lacks):
    monkeypatch.delattr(owner, lacks)
    with pytest.raises(PlatformError, match=f"needs {lacks}"):
        supervise(ServeConfig(port=0, gateways=1))


def test_a_socket_path_that_is_too_long_names_the_remedy(monkeypatch, tmp_path):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(SocketPathError, match="want at most 107 bytes: set TMPDIR to a shorter folder"):
        supervise(ServeConfig(port=0, gateways=1))
    assert list(folder.iterdir()) == []


def test_an_engine_that_cannot_load_ends_the_server_with_1_and_the_reason(tmp_path):
    with started(tmp_path, "--gateways", "1", "--system", "nobody") as server:
        _, told = server.communicate(timeout=60)
    assert server.returncode == 1
    assert "engine: ERROR stream.local_engine: loading system nobody failed: got system 'nobody', want one of" in told
    assert told.splitlines()[-1] == "visavis: engine could not begin: the lines above say why"
    pids = [int(pid) for pid in re.findall(r"is process (\d+)", told)]
    assert len(pids) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not list(tmp_path.glob("visavis-*"))


def test_children_of_a_killed_supervisor_end_by_themselves(tmp_path):
    pids = []
    with started(tmp_path, "--gateways", "1") as server:
        for line in server.stderr:
            pids += re.findall(r"is process (\d+)", line)
            if len(pids) == 2:
                break
        os.kill(server.pid, signal.SIGKILL)
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s and any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.02)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_the_limit_of_a_socket_path_is_that_of_the_system(tmp_path):
    longest = str(tmp_path) + "/" + "x" * (supervisor.MAX_SOCKET_PATH - len(str(tmp_path)) - 1)
    with socket.socket(socket.AF_UNIX) as fits, socket.socket(socket.AF_UNIX) as too_long:
        fits.bind(longest)
        with pytest.raises(OSError, match="too long"):
            too_long.bind(longest + "x")
