"""From nothing to the first frame, and from the first frame to the usual pace, each start in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.errors import NotHereError
from benchmarks.harness import Device, Row, latency, latency_row, value_row
from benchmarks.plan import Plan
from benchmarks.suite import Part
from models.engine import BACKENDS, choose
from models.errors import BackendError

ROOT: Final = Path(__file__).parent.parent
FRAMES: Final = 40
STARTS: Final = 3
WARM: Final = 1.1
"""A frame is warm once it and the two after it take at most so many times the median of the second half."""
_IN_A_ROW: Final = 3


def parts(plan: Plan) -> list[Part]:
    """A part for each backend, what `auto` takes first: with empty caches, then with those that the start left."""
    starts = STARTS if plan.n >= 100 else 1
    first = choose().backend
    order = [first, *(backend for backend in BACKENDS if backend != first)]
    return [Part(backend, partial(_measured, backend, starts)) for backend in order]


def _measured(backend: str, starts: int) -> list[Row]:
    try:
        device: Device = "cuda" if choose(backend).device.type == "cuda" else "cpu"
    except BackendError as error:
        raise NotHereError(str(error)) from None
    with tempfile.TemporaryDirectory() as caches:
        cold = _start(backend, Path(caches))
        kept = [_start(backend, Path(caches)) for _ in range(starts)]
    rows = [*_rows(f"{backend}, caches empty", [cold]), *_rows(f"{backend}, caches kept", kept)]
    return [replace(row, device=device) for row in rows]


def _start(backend: str, caches: Path) -> dict[str, Any]:
    """What `cold_start` tells of a start that finds only the caches in this folder."""
    folders = {name: str(caches / name) for name in ("XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")}
    command = [sys.executable, "-m", "benchmarks.cold_start", backend, str(FRAMES)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | folders, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{backend} did not start: {(done.stderr.strip() or 'it said nothing').splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def _rows(name: str, starts: Sequence[dict[str, Any]]) -> list[Row]:
    phases = {phase: [start["phases_ms"][phase] for start in starts] for phase in starts[0]["phases_ms"]}
    phases["first frame"] = [start["frames_ms"][0] for start in starts]
    warm = max(frames_until_warm(start["frames_ms"]) for start in starts)
    whole = [sum(start["phases_ms"].values()) + start["frames_ms"][0] for start in starts]
    return [
        *(latency_row("start", f"{name}, {phase}", latency(times)) for phase, times in phases.items()),
        latency_row("cold start", f"{name}, to the first frame", latency(whole)),
        value_row("warm-up", f"{name}, until warm", "frames", warm),
        latency_row("warm-up", f"{name}, usual frame", latency([ms for start in starts for ms in _steady(start)])),
    ]


def _steady(start: dict[str, Any]) -> list[float]:
    return start["frames_ms"][FRAMES // 2 :]


def frames_until_warm(frames_ms: Sequence[float]) -> int:
    """How many frames go by before three in a row take no longer than usual (see `WARM`); all if that never happens."""
    usual = WARM * float(np.median(frames_ms[len(frames_ms) // 2 :]))
    fast = [ms <= usual for ms in frames_ms]
    ready = (i for i in range(len(fast) - _IN_A_ROW + 1) if all(fast[i : i + _IN_A_ROW]))
    return next(ready, len(fast))
