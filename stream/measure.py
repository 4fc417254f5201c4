"""Times what a frame costs, by drawing some: done before anyone calls, which also warms everything up."""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from models.rig import vector
from models.system import FRAME_MS, SAMPLE_RATE_HZ, ControlBatch, IdentityState, System
from stream.compose import Composer
from stream.costs import BATCH_SIZES, MOST_STEP_MS, WORTH, Costs
from stream.hearing import DueFrame, Hearing, silent_frame
from stream.paint import Brush, Painter, Seat
from stream.vp8 import Vp8Encoder

TIMED: Final = 5
UNTIMED: Final = 2
_SWING_DEGREES: Final = 5.0


def measure_costs(system: System, identity: IdentityState, *, whole: bool = True) -> Costs:
    """What frames of a head that moves all the time cost on this thread; larger batches only while they are worth it.

    Args:
        system: What draws.
        identity: Any face.
        whole: Features and encoding are this thread's work too, not that of other processes.

    Raises:
        Whatever the system raises.
    """
    painter, turns = Painter(system), [_turned(system, degrees) for degrees in (-_SWING_DEGREES, _SWING_DEGREES)]
    step_ms: dict[int, float] = {}
    for size in BATCH_SIZES:
        # a face of its own for each row, as sessions have
        seats = [Seat(row, replace(identity)) for row in range(size)]
        step_ms[size] = _median_ms(lambda frame, seats=seats: _paint(painter, seats, turns[frame % 2]))
        worth = size == 1 or step_ms[size] / size < WORTH * step_ms[size // 2] / (size // 2)
        if not worth or step_ms[size] > MOST_STEP_MS:
            break
    [brush] = _paint(painter, [Seat(0, identity)], turns[0])
    return Costs(step_ms, _row_ms(system, identity, brush, whole))


def _paint(painter: Painter, seats: list[Seat], due: DueFrame) -> list[Brush]:
    brushes = [Brush(seat, [due]) for seat in seats]
    painter.paint(brushes)
    for brush in brushes:
        if brush.error is not None:
            raise brush.error
    return brushes


def _turned(system: System, yaw_degrees: float) -> DueFrame:
    due = silent_frame(system)
    return replace(due, controls=ControlBatch(vector({"headYaw": yaw_degrees})[None], due.controls.lip_gain))


def _row_ms(system: System, identity: IdentityState, painted: Brush, whole: bool) -> float:
    hearing, composer, encoder = Hearing(system), Composer(), Vp8Encoder()

    def row(frame: int) -> None:
        if whole:
            hearing.push(np.zeros(SAMPLE_RATE_HZ * FRAME_MS // 1000, np.float32))
        if painted.frame is not None:
            picture = composer.i420(painted.frame, identity.canvas)
            if whole:
                encoder.encode(picture, frame)

    return _median_ms(row)


def _median_ms(step: Callable[[int], object]) -> float:
    times_ms: list[float] = []
    for frame in range(UNTIMED + TIMED):
        began_s = time.perf_counter()
        step(frame)
        times_ms.append(1000.0 * (time.perf_counter() - began_s))
    return statistics.median(times_ms[UNTIMED:])
