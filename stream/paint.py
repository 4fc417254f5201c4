"""Draws batches of frames, a row per stream, and only where something can be seen to have changed. On the model thread.

A picture that a silent face does not need is not drawn: blinks, gaze and sway go on, but of a slow sway only the
frames that moved by what a system calls `unseen` (see `models.system.Posed`).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.i420 import rgb_to_i420
from models.finite import broken
from models.stream_rows import StreamRows
from models.system import AudioFeatures, ControlBatch, IdentityState, Posed, System
from stream.compose import Composer
from stream.due_frame import DueFrame
from stream.errors import DeviceFullError, DeviceLostError

logger = logging.getLogger(__name__)

MAX_MISSED: Final = 25
"""Frames that were not drawn are heard all the same, so that the voice keeps its pace; at most a second of them."""


@dataclass(eq=False)
class Seat:
    """One stream's place in the batches.

    Attributes:
        row: Of the pool of memories; no other living stream has it.
        identity: Whose face is drawn; may be set between two frames.
        fresh: The stream has not begun.
        shown: Whose face the picture shows, and in which pose, [M]; None until one was drawn.
    """

    row: int
    identity: IdentityState
    fresh: bool = True
    shown: tuple[IdentityState, Tensor] | None = None


@dataclass
class Brush:
    """One frame to be painted, and what came of it.

    Attributes:
        seat: Of which stream.
        dues: The frame, after those before it that nobody drew.
        draw: False leaves the picture as it is, and only hears.
        frame: The new picture, [1, 3, frame_px, frame_px], -1 to 1; None: as before.
        picture: The new picture in planar pixels, [H * 3 / 2, W], if it came to the host with others or from another
            process; see `pixels`.
        broken: The model gave a number that is none: the stream begins anew, the picture is as before.
        error: Why there is none.
        pose: What was heard, [1, M], of a system that is `Posed`.
    """

    seat: Seat
    dues: Sequence[DueFrame]
    draw: bool = True
    frame: Tensor | None = field(default=None, init=False)
    picture: NDArray[np.uint8] | None = field(default=None, init=False)
    broken: bool = field(default=False, init=False)
    error: Exception | None = field(default=None, init=False)
    pose: Tensor | None = field(default=None, init=False)

    def pixels(self, composer: Composer) -> NDArray[np.uint8] | None:
        """The new picture, planar pixels [H * 3 / 2, W], by the stream's own composer if need be; None: as before."""
        if self.picture is None and self.frame is not None:
            self.picture = composer.i420(self.frame, self.seat.identity.canvas)
        return self.picture


class Painter:
    """Paints for all streams of one system. Not thread-safe.

    Attributes:
        system: What draws.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self._posed = cast("Posed", system) if isinstance(system, Posed) else None
        self._rows = StreamRows(system)

    @torch.no_grad()
    def paint(self, brushes: Sequence[Brush]) -> int:
        """Paint a batch; returns how many rows of it were drawn. Failures are told in each brush, and touch no other.

        Raises:
            DeviceLostError: If what the system runs on is gone: no row can be drawn any more.
        """
        try:
            for brush in brushes:
                if brush.seat.fresh:
                    self._forget(brush.seat)
            return self._paint(brushes)
        except Exception as error:  # the edge of the model: told to the sessions whose rows it touched
            if _lost(error):
                raise DeviceLostError(str(error).partition("\n")[0]) from error
            if len(brushes) > 1:  # whose fault was it?
                return sum(self.paint([brush]) for brush in brushes)
            logger.exception("a frame could not be drawn")
            full = isinstance(error, torch.OutOfMemoryError | MemoryError)
            brushes[0].error = DeviceFullError() if full else error
            return 0

    def _paint(self, brushes: Sequence[Brush]) -> int:
        if self._posed is None:
            wanted = [brush for brush in brushes if brush.draw]
            if wanted:
                self._show(wanted, self._step(wanted))
            return len(wanted)
        poses = self._heard(self._posed, brushes)
        known = poses.cpu()
        changed = [i for i, brush in enumerate(brushes) if brush.draw and _seen(brush.seat, known[i], self._posed)]
        if changed:
            wanted = [brushes[i] for i in changed]
            self._show(wanted, self._posed.draw([brush.seat.identity for brush in wanted], poses[changed]))
            for i, brush in zip(changed, wanted, strict=True):
                brush.seat.shown = None if brush.broken else (brush.seat.identity, known[i])
        return len(changed)

    def _heard(self, posed: Posed, brushes: Sequence[Brush]) -> Tensor:
        """The poses of a batch, [B, M]; nobody hears a frame twice, even if the batch is painted anew."""
        deaf = [brush for brush in brushes if brush.pose is None]
        for brush in deaf:
            for due in brush.dues[:-1][-MAX_MISSED:]:
                self._pose(posed, [brush.seat], [due])
        if deaf:
            poses = self._pose(posed, [brush.seat for brush in deaf], [brush.dues[-1] for brush in deaf])
            for brush, pose in zip(deaf, poses.split(1), strict=True):
                brush.pose = pose
        return torch.cat([brush.pose for brush in brushes if brush.pose is not None])

    def _pose(self, posed: Posed, seats: Sequence[Seat], dues: Sequence[DueFrame]) -> Tensor:
        rows = [seat.row for seat in seats]
        state = self._rows.take(rows)
        poses = posed.pose(*_stacked(dues), state)
        self._rows.put(rows, state)
        return poses

    def _step(self, brushes: Sequence[Brush]) -> Tensor:
        rows = [brush.seat.row for brush in brushes]
        state = self._rows.take(rows)
        frames = self.system.step(
            [brush.seat.identity for brush in brushes], *_stacked([brush.dues[-1] for brush in brushes]), state
        )
        self._rows.put(rows, state)
        return frames

    def _show(self, brushes: Sequence[Brush], frames: Tensor) -> None:
        finite = (~broken(frames)).tolist()
        bare = len(brushes) > 1 and all(brush.seat.identity.canvas is None for brush in brushes)
        pictures = rgb_to_i420(frames).cpu().numpy() if bare else None  # one way to the host for all
        for row, (brush, frame, good) in enumerate(zip(brushes, frames.split(1), finite, strict=True)):
            brush.frame, brush.broken = (frame, False) if good else (None, True)
            if not good:
                self._forget(brush.seat)
            elif pictures is not None:
                brush.picture = pictures[row]

    def _forget(self, seat: Seat) -> None:
        self._rows.reset(seat.row)
        seat.fresh, seat.shown = False, None


def _stacked(dues: Sequence[DueFrame]) -> tuple[AudioFeatures, ControlBatch]:
    if len(dues) == 1:
        return dues[0].features, dues[0].controls
    features, controls = [due.features for due in dues], [due.controls for due in dues]
    return (
        AudioFeatures(torch.cat([f.values for f in features]), torch.cat([f.lookahead_ms for f in features])),
        ControlBatch(torch.cat([c.values for c in controls]), torch.cat([c.lip_gain for c in controls])),
    )


def _seen(seat: Seat, pose: Tensor, posed: Posed) -> bool:
    """Whether a new picture would look different from the one that is shown."""
    if seat.shown is None or seat.shown[0] is not seat.identity:
        return True
    moved = torch.linalg.vector_norm((pose - seat.shown[1]) / posed.unseen)
    return not bool(moved <= 1.0)  # true for a pose that is no number


def _lost(error: Exception) -> bool:
    """Whether no further step can succeed on this device: CUDA's errors stay for the life of the process."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    return isinstance(error, torch.AcceleratorError) or str(error).startswith("CUDA error")
