"""Times what a frame costs, by drawing some: done before anyone calls, which also warms everything up."""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.rig import vector
from models.system import ControlBatch, IdentityState, System
from stream.compose import Composer
from stream.costs import BATCH_SIZES, MOST_STEP_MS, WORTH, Costs
from stream.due_frame import DueFrame, silent_frame
from stream.paint import Brush, Painter, Seat

TIMED: Final = 5
UNTIMED: Final = 2
_SWING_DEGREES: Final = 5.0


def measure_costs(
    system: System, identity: IdentityState, rest: Callable[[int, NDArray[np.uint8] | None], None] | None = None
) -> Costs:
    """What frames of a head that moves all the time cost on this thread; larger batches only while they are worth it.

    Args:
        system: What draws.
        identity: Any face.
        rest: What else this thread does for a frame, given its number and its picture: `stream.face.own_part`, unless
            other processes do that.

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
    usual = Costs(step_ms).rows
    brush = _paint(painter, [Seat(row, replace(identity)) for row in range(usual)], turns[0])[0]
    return Costs(step_ms, _row_ms(brush, rest))


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


def _row_ms(painted: Brush, rest: Callable[[int, NDArray[np.uint8] | None], None] | None) -> float:
    composer, together = Composer(), painted.picture

    def row(frame: int) -> None:
        painted.picture = together
        picture = painted.pixels(composer)
        if rest is not None:
            rest(frame, picture)

    return _median_ms(row)


def _median_ms(step: Callable[[int], object]) -> float:
    times_ms: list[float] = []
    for frame in range(UNTIMED + TIMED):
        began_s = time.perf_counter()
        step(frame)
        times_ms.append(1000.0 * (time.perf_counter() - began_s))
    return statistics.median(times_ms[UNTIMED:])
