"""Sessions against latency: a ramp through the engine that serves them, until the 99th percentile misses a frame.

The sessions' sound is heard already and their pictures are not encoded, as in the engine of `visavis serve --gateways`:
that needs torch and numpy alone. `bench_capacity` has whole sessions.
"""

import math
from collections.abc import Iterable
from typing import Final, cast

import torch

from benchmarks.bench_engine import LOOKAHEAD_MS, Scene, compare, people
from benchmarks.harness import Device, Row, value_row
from benchmarks.plan import Plan
from benchmarks.suite import Part
from models.audio.log_mel import BANDS, HOPS_PER_FRAME
from models.engine import choose
from models.rig import vector
from models.system import FRAME_MS, AudioFeatures, ControlBatch, System
from models.visavis.renderer import Size
from models.visavis.system import Visavis
from stream.compose import Composer
from stream.due_frame import DueFrame
from stream.ladder import Rung
from stream.measure import measure_costs
from stream.paint import Brush, Seat
from stream.ramp import LIMIT_MS, Step, ramp

_SWING_DEG: Final = 8.0
_SWING_FRAMES: Final = 9.0


def parts(plan: Plan) -> list[Part]:
    """A part for each size of the house model that is meant for the device."""
    sizes: tuple[Size, ...] = ("base", "small") if plan.device == "cuda" else ("small",)
    return [Part(f"{size}, engine alone", lambda size=size: _engine(size, plan)) for size in sizes]


@torch.no_grad()
def _engine(size: Size, plan: Plan) -> list[Row]:
    house = Visavis.load(size=size)
    wanted = Scene(Visavis.load("eager", size, precision="fp32"), 1).run()
    compare(f"the engine, {size},", choose("auto", "auto").precision, Scene(house, 1).run(), wanted)
    system, faces = cast("System", house), people(house)
    found = ramp(system, faces, lambda: measure_costs(system, faces[0]), _Speaker, seconds(plan))
    return rows(f"{size}, engine alone", found.steps, plan.device)


def seconds(plan: Plan) -> float:
    """How long each number of sessions is tried."""
    return plan.n * FRAME_MS / 1000.0


class _Speaker:
    """A stream whose head turns all the time, so that every frame is drawn: a `stream.ramp.Speaker`."""

    def __init__(self, system: System, seat: Seat, number: int, frames: int) -> None:
        self.seat = seat
        self.composer = Composer()
        random = torch.Generator().manual_seed(number)
        self._heard = torch.rand(frames, 1, HOPS_PER_FRAME, BANDS, generator=random)
        self._number = number

    def job(self, frame: int, due_s: float) -> "_Job":
        turn = _SWING_DEG * math.sin(self._number + frame / _SWING_FRAMES)
        controls = ControlBatch(vector({"headYaw": turn, "jawOpen": 0.3})[None], torch.ones(1))
        features = AudioFeatures(self._heard[frame], torch.tensor([LOOKAHEAD_MS]))
        return _Job(self, DueFrame(frame, features, controls), due_s + FRAME_MS / 1000.0)


class _Job:
    """One of its frames: a `stream.batch.Job` that is heard already and is done when its pixels lie on the host."""

    def __init__(self, speaker: _Speaker, due: DueFrame, deadline_s: float) -> None:
        self.seat, self.deadline_s = speaker.seat, deadline_s
        self._composer, self._due = speaker.composer, due

    def hear(self, rung: Rung) -> Brush:
        return Brush(self.seat, [self._due])

    def finish(self, brush: Brush) -> bool:
        """True: the pixels are on the host, new ones, or those before where the head hardly moved."""
        brush.pixels(self._composer)
        return True


def rows(name: str, steps: Iterable[Step], device: Device) -> list[Row]:
    """A row for each number of sessions, fewest first, and one of the most that were in time.

    Args:
        name: What drew.
        steps: What was tried, in any order; a number at which half the frames were never drawn gives no row.
        device: What it drew on.
    """
    tried = sorted(steps, key=lambda step: step.sessions)
    found = [
        Row(
            "sessions",
            f"{name}, {step.sessions} at once",
            "ms",
            step.p50_ms,
            _finite(step.p95_ms),
            _finite(step.p99_ms),
            step.sessions * step.frames,
            device=device,
            x=float(step.sessions),
            x_unit="sessions",
        )
        for step in tried
        if math.isfinite(step.p50_ms)
    ]
    most = max((step.sessions for step in tried if step.in_time), default=0)
    return [*found, value_row("sessions", f"{name}, most within {LIMIT_MS:g} ms", "sessions", most, device=device)]


def _finite(ms: float) -> float | None:
    return ms if math.isfinite(ms) else None
