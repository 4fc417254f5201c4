"""Where the control channel wants the face to be, and the smooth way there. Pure: media time is an argument."""

import heapq
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from models.rig import CONTROLS, INDEX, LIMITS

LIP_GAIN: Final = "lipGain"
LIP_GAIN_LIMITS: Final = (0.0, 2.0)
SMOOTH_MS: Final = 35.0
"""Time constant: 90 % of the way is done after 80 ms."""
MAX_SCHEDULED: Final = 256


@dataclass(frozen=True)
class ControlUpdate:
    """Absolute targets that hold until they are changed.

    Attributes:
        values: By name (`models.rig.CONTROLS` or "lipGain"); clamped to their limits, unknown names ignored.
        pts_ms: Media time from which they hold; None is now.
    """

    values: Mapping[str, float]
    pts_ms: float | None = None


@dataclass(order=True)
class _Scheduled:
    pts_ms: float
    order: int
    values: Mapping[str, float] = field(compare=False)


class ControlTargets:
    """The control vector and lip gain of one session."""

    def __init__(self) -> None:
        self._target = torch.zeros(len(CONTROLS))
        self._value = torch.zeros(len(CONTROLS))
        self._lip_target = self._lip_value = 1.0
        self._at_ms = 0.0
        self._scheduled: list[_Scheduled] = []
        self._order = itertools.count()

    def update(self, update: ControlUpdate) -> None:
        """Take in targets; at most 256 may lie in the future, more replace the latest of them."""
        if update.pts_ms is None:
            self._aim(update.values)
            return
        if len(self._scheduled) >= MAX_SCHEDULED:
            self._scheduled.remove(max(self._scheduled))
            heapq.heapify(self._scheduled)
        heapq.heappush(self._scheduled, _Scheduled(update.pts_ms, next(self._order), dict(update.values)))

    def at(self, pts_ms: float) -> tuple[Tensor, float]:
        """Control vector [K] (float32, within `rig.LIMITS`) and lip gain (0 to 2) of the frame at `pts_ms`.

        Media time must not go back between two calls.
        """
        while self._scheduled and self._scheduled[0].pts_ms <= pts_ms:
            self._aim(heapq.heappop(self._scheduled).values)
        share = 1.0 - math.exp(-max(0.0, pts_ms - self._at_ms) / SMOOTH_MS)
        self._at_ms = pts_ms
        self._value = self._value + share * (self._target - self._value)
        self._lip_value += share * (self._lip_target - self._lip_value)
        return self._value, self._lip_value

    def _aim(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            if name == LIP_GAIN:
                self._lip_target = min(max(value, LIP_GAIN_LIMITS[0]), LIP_GAIN_LIMITS[1])
            elif name in INDEX:
                low, high = LIMITS[name]
                self._target[INDEX[name]] = min(max(value, low), high)
