"""A `visavis serve` of one's own, as a process."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self
from urllib.error import URLError
from urllib.request import Request, urlopen

ROOT: Final = Path(__file__).parent.parent
READY_WITHIN_S: Final = 180.0


class LiveServer:
    """Started on entering, ready when entered, ended on leaving.

    Attributes:
        url: Where it serves.
        ready_s: From starting the process until it was ready.
    """

    def __init__(self, data_dir: Path, options: Sequence[str] = ()) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        self.ready_s = 0.0
        self._log = data_dir / "server.log"
        self._command = [
            *(sys.executable, "-c", "import sys; from stream.cli import main; sys.exit(main())"),
            *("serve", "--port", str(port), "--data-dir", str(data_dir), *options),
        ]

    def __enter__(self) -> Self:
        started_s = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=ROOT)
        try:
            while not self._is_ready():
                if self._process.poll() is not None or time.monotonic() - started_s > READY_WITHIN_S:
                    raise RuntimeError(f"the server did not become ready:\n{self.log()}")
                time.sleep(0.05)
        except BaseException:
            self.__exit__()
            raise
        self.ready_s = time.monotonic() - started_s
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def running(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    @property
    def resident_mb(self) -> float:
        """Memory that the process holds now, MB (10^6 bytes)."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def cpu_s(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> str:
        """Body of a GET."""
        with urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def post(self, path: str, body: dict[str, str]) -> dict[str, object]:
        """What the server answers to a POST of JSON."""
        request = Request(self.url + path, json.dumps(body).encode(), {"content-type": "application/json"})
        with urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def delete(self, path: str) -> None:
        """Send a DELETE."""
        with urlopen(Request(self.url + path, method="DELETE"), timeout=10):
            pass

    def _is_ready(self) -> bool:
        try:
            self.get("/readyz")
        except (URLError, OSError):
            return False
        return True
