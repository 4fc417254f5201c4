"""What a living face does besides speaking: it blinks, sways a little and looks about.

Everything is a pure function of a seed and of media time, so that a stream, a render and a test see the same life.
Blinks come about 15 times a minute; Bentivoglio et al., "Analysis of blink rate patterns in normal subjects", say
17 at rest and 26 in conversation, log-normally spread. The lids close faster than they open.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from models.rig import CONTROLS, INDEX

_CLOSING_MS: Final = 80.0
_SHUT_MS: Final = 30.0
_OPENING_MS: Final = 150.0
_BLINK_MS: Final = _CLOSING_MS + _SHUT_MS + _OPENING_MS
_SACCADE_MS: Final = 60.0
_BLOCK_MS: Final = 60_000.0
"""Blinks and gaze shifts are drawn a minute at a time."""

_SWAY_DEGREES: Final = {"headYaw": 0.9, "headPitch": 0.6, "headRoll": 0.5}
_SWAY_HZ: Final = (0.07, 0.13, 0.23, 0.41)
_SPEAKING_GAIN: Final = 0.8
"""How much more the head moves in full speech, as a share."""


@dataclass(frozen=True)
class _Minute:
    """The events of one minute: when, in ms since it began, and where to."""

    blinks_ms: list[float]
    strength: list[float]
    shifts_ms: list[float]
    gaze_degrees: list[tuple[float, float]]  # yaw, pitch


class IdleLife:
    """Blinks, head sway and gaze of one face.

    Args:
        seed: Two lives with one seed are the same.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        draw = np.random.default_rng([seed, 1])
        self._phases = draw.uniform(0.0, 2 * np.pi, (len(_SWAY_DEGREES), len(_SWAY_HZ)))
        self._tempo = draw.uniform(0.85, 1.15, (len(_SWAY_DEGREES), len(_SWAY_HZ)))
        self._minutes: dict[int, _Minute] = {}

    def controls(self, pts_ms: float, voice: float) -> Tensor:
        """The idle part of the controls at one moment.

        Args:
            pts_ms: Media time, 0 or more.
            voice: How much the face is speaking just now, 0 to 1, or up to 2 for lively speech; should change smoothly.

        Returns:
            Control vector [57], float32, to be added to what the voice and the control channel say. Only lids, gaze
            and head angles differ from 0; the head stays within about 3 degrees of rest.
        """
        out = torch.zeros(len(CONTROLS))
        voice = min(max(voice, 0.0), 2.0)
        for name, degrees in self._sway(pts_ms, voice).items():
            out[INDEX[name]] = degrees
        yaw, pitch = self._gaze(pts_ms)
        out[INDEX["gazeYaw"]], out[INDEX["gazePitch"]] = yaw, pitch
        out[INDEX["eyeBlinkLeft"]] = out[INDEX["eyeBlinkRight"]] = self._blink(pts_ms)
        return out

    def _sway(self, pts_ms: float, voice: float) -> dict[str, float]:
        """Sums of slow sines, in degrees; speech adds some faster nodding."""
        turns = 2 * np.pi * np.array(_SWAY_HZ) * self._tempo * pts_ms / 1000.0 + self._phases  # [3, 4]
        slow = np.sin(turns) @ np.array([0.45, 0.3, 0.2, 0.05])
        lively = np.sin(turns * 3.1) @ np.array([0.2, 0.3, 0.3, 0.2])
        moved = slow + _SPEAKING_GAIN * voice * lively
        return {
            name: float(degrees * share) for (name, degrees), share in zip(_SWAY_DEGREES.items(), moved, strict=True)
        }

    def _blink(self, pts_ms: float) -> float:
        """How far the lids are closed by the newest blink, 0 to 1."""
        number = int(pts_ms // _BLOCK_MS)
        minute = self._minute(number)
        newest = bisect_right(minute.blinks_ms, pts_ms - number * _BLOCK_MS) - 1
        if newest < 0:
            return 0.0  # `_draw` leaves room at the end of every minute, so none reaches into the next
        since_ms = pts_ms - number * _BLOCK_MS - minute.blinks_ms[newest]
        rise = _smooth(since_ms / _CLOSING_MS)
        fall = _smooth((since_ms - _CLOSING_MS - _SHUT_MS) / _OPENING_MS)
        return minute.strength[newest] * rise * (1.0 - fall)

    def _gaze(self, pts_ms: float) -> tuple[float, float]:
        """Where the eyes look, yaw and pitch in degrees: fixations joined by quick smooth shifts."""
        number = int(pts_ms // _BLOCK_MS)
        minute = self._minute(number)
        local_ms = pts_ms - number * _BLOCK_MS
        newest = bisect_right(minute.shifts_ms, local_ms) - 1
        if newest < 0:
            return self._last_gaze(number)
        before = minute.gaze_degrees[newest - 1] if newest else self._last_gaze(number)
        after = minute.gaze_degrees[newest]
        share = _smooth((local_ms - minute.shifts_ms[newest]) / _SACCADE_MS)
        return before[0] + share * (after[0] - before[0]), before[1] + share * (after[1] - before[1])

    def _last_gaze(self, number: int) -> tuple[float, float]:
        return self._minute(number - 1).gaze_degrees[-1] if number > 0 else (0.0, 0.0)

    def _minute(self, number: int) -> _Minute:
        """The events of minute `number`; the newest few are kept."""
        if number not in self._minutes:
            if len(self._minutes) > 3:
                self._minutes.clear()
            self._minutes[number] = _draw(np.random.default_rng([self._seed, 2, number]))
        return self._minutes[number]


def _draw(draw: np.random.Generator) -> _Minute:
    blinks_ms: list[float] = []
    at_ms = float(draw.uniform(500.0, 4000.0))
    while at_ms < _BLOCK_MS - _BLINK_MS:
        blinks_ms.append(at_ms)
        # one in eight is a double blink
        quick = draw.random() < 0.12
        at_ms += float(draw.uniform(320.0, 500.0) if quick else np.clip(draw.lognormal(8.15, 0.4), 1800.0, 6500.0))
    strength = [float(draw.uniform(0.92, 1.0)) for _ in blinks_ms]
    shifts_ms: list[float] = []
    gaze: list[tuple[float, float]] = []
    at_ms = float(draw.uniform(300.0, 2000.0))
    while at_ms < _BLOCK_MS - _SACCADE_MS:
        shifts_ms.append(at_ms)
        away = draw.random() < 0.2  # mostly at the listener, with small shifts between the eyes and mouth
        reach = 6.0 if away else 1.2
        gaze.append((float(draw.normal(0.0, reach)), float(draw.normal(-0.3, reach * 0.5))))
        gaze[-1] = (min(max(gaze[-1][0], -10.0), 10.0), min(max(gaze[-1][1], -6.0), 6.0))
        at_ms += float(draw.uniform(500.0, 1100.0) if away else draw.uniform(900.0, 3500.0))
    return _Minute(blinks_ms, strength, shifts_ms, gaze)


def _smooth(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)
