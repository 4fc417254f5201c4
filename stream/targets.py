"""Where the control channel wants the face to be, and the smooth way there. Pure: media time is an argument."""

import heapq
import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import torch
from torch import Tensor

from models.emotion import EMOTIONS, NEUTRAL, emotion, shapes_of
from models.rig import CONTROLS, INDEX, LIMITS, clamp

LIP_GAIN: Final = "lipGain"
EMOTION: Final = "emotion"
EMOTION_INTENSITY: Final = "emotionIntensity"
SPEECH_INTENSITY: Final = "speechIntensity"
DIAL_LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    LIP_GAIN: (0.0, 2.0),
    EMOTION_INTENSITY: (0.0, 1.0),
    SPEECH_INTENSITY: (0.0, 2.0),
}
"""What a client may turn besides the rig's controls; each rests at 1."""
SMOOTH_MS: Final = 35.0
"""Time constant: 90 % of the way is done after 80 ms."""
EMOTION_SMOOTH_MS: Final = 130.0
"""Time constant: 90 % of the way is done after 300 ms, as feelings show."""
MAX_SCHEDULED: Final = 256


def obeyed(controls: Collection[str]) -> frozenset[str]:
    """All that a client may tell a system that obeys these rig controls: they, the dials, emotions where they show."""
    felt = any(name in controls for feeling in EMOTIONS for name in shapes_of(feeling))
    return frozenset(controls) | {LIP_GAIN, SPEECH_INTENSITY} | ({EMOTION, EMOTION_INTENSITY} if felt else set())


@dataclass(frozen=True)
class ControlUpdate:
    """Absolute targets that hold until they are changed.

    Attributes:
        values: By name (`models.rig.CONTROLS` or a dial of `DIAL_LIMITS`); clamped to their limits, unknown names
            ignored.
        pts_ms: Media time from which they hold; None is now.
        emotion: One of `models.emotion.EMOTIONS`; None leaves it as it is.
    """

    values: Mapping[str, float]
    pts_ms: float | None = None
    emotion: str | None = None


class Wanted(NamedTuple):
    """What the control channel wants of one frame.

    Attributes:
        values: Control vector, emotion included, [K], float32, within `rig.LIMITS`.
        lip_gain: Factor on what the voice moves, 0 to 2.
        speech_intensity: How lively the speech looks, 0 to 2: 1 as it was learned, 0 mumbled with a still head.
    """

    values: Tensor
    lip_gain: float
    speech_intensity: float


@dataclass(order=True)
class _Scheduled:
    pts_ms: float
    order: int
    update: ControlUpdate = field(compare=False)


class ControlTargets:
    """The control vector, the emotion and the dials of one session."""

    def __init__(self) -> None:
        self._target = torch.zeros(len(CONTROLS))
        self._value = torch.zeros(len(CONTROLS))
        self._dial_target = dict.fromkeys(DIAL_LIMITS, 1.0)
        self._dial_value = dict(self._dial_target)
        self._emotion = NEUTRAL
        self._mood = torch.zeros(len(CONTROLS))
        self._at_ms = 0.0
        self._scheduled: list[_Scheduled] = []
        self._order = itertools.count()

    def update(self, update: ControlUpdate) -> None:
        """Take in targets; at most 256 may lie in the future, more replace the latest of them.

        Raises:
            EmotionError: If the update has an emotion that nobody knows.
        """
        if update.emotion is not None:
            emotion(update.emotion)  # a future update must not fail in the middle of a frame
        if update.pts_ms is None:
            self._aim(update)
            return
        if len(self._scheduled) >= MAX_SCHEDULED:
            self._scheduled.remove(max(self._scheduled))
            heapq.heapify(self._scheduled)
        heapq.heappush(self._scheduled, _Scheduled(update.pts_ms, next(self._order), update))

    def at(self, pts_ms: float) -> Wanted:
        """What is wanted of the frame at `pts_ms`. Media time must not go back between two calls."""
        while self._scheduled and self._scheduled[0].pts_ms <= pts_ms:
            self._aim(heapq.heappop(self._scheduled).update)
        passed_ms = max(0.0, pts_ms - self._at_ms)
        self._at_ms = pts_ms
        share = 1.0 - math.exp(-passed_ms / SMOOTH_MS)
        self._value = self._value + share * (self._target - self._value)
        for name, target in self._dial_target.items():
            self._dial_value[name] += share * (target - self._dial_value[name])
        mood = emotion(self._emotion, self._dial_target[EMOTION_INTENSITY])
        self._mood = self._mood + (1.0 - math.exp(-passed_ms / EMOTION_SMOOTH_MS)) * (mood - self._mood)
        return Wanted(clamp(self._value + self._mood), self._dial_value[LIP_GAIN], self._dial_value[SPEECH_INTENSITY])

    def _aim(self, update: ControlUpdate) -> None:
        self._emotion = update.emotion or self._emotion
        for name, value in update.values.items():
            if name in DIAL_LIMITS:
                low, high = DIAL_LIMITS[name]
                self._dial_target[name] = min(max(value, low), high)
            elif name in INDEX:
                low, high = LIMITS[name]
                self._target[INDEX[name]] = min(max(value, low), high)
