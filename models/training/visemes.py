"""Phones to lip curves: a rule model of co-articulation on the rig's speech controls.

Every phone has a target shape and a dominance. Away from closures the curve is the dominance-weighted mean of all
targets (the idea is Cohen and Massaro's), with longer reach before a phone than after it, since lips anticipate; so
short sounds undershoot. A mean never closes the lips, so p b m (and f v, s z sh) then override it with an envelope that
starts before the sound. In pauses everything is exactly 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.rig import SPEECH
from models.training.phones import PAUSE, Phone

Curve = NDArray[np.float32]

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    **{"jaw": ("jawOpen",), "forward": ("jawForward",), "close": ("mouthClose",), "funnel": ("mouthFunnel",)},
    **{"pucker": ("mouthPucker",), "roll_low": ("mouthRollLower",), "roll_up": ("mouthRollUpper",)},
    **{"shrug_low": ("mouthShrugLower",), "shrug_up": ("mouthShrugUpper",)},
    **{"press": ("mouthPressLeft", "mouthPressRight"), "stretch": ("mouthStretchLeft", "mouthStretchRight")},
    **{"smile": ("mouthSmileLeft", "mouthSmileRight"), "low": ("mouthLowerDownLeft", "mouthLowerDownRight")},
    "up": ("mouthUpperUpLeft", "mouthUpperUpRight"),
}
_JAW: Final = [SPEECH.index(name) for name in ("jawOpen", "jawForward", "mouthClose")]

LIP_GAP_CM: Final[Mapping[str, float]] = {
    **{"jawOpen": 3.28, "mouthClose": -3.89, "mouthFunnel": 1.37, "mouthPucker": -0.05, "mouthRollLower": -0.37},
    **{"mouthRollUpper": 0.18, "mouthShrugLower": -0.69, "mouthShrugUpper": 0.53, "mouthPressLeft": -0.13},
    **{"mouthPressRight": -0.13, "mouthLowerDownLeft": 0.34, "mouthLowerDownRight": 0.34, "mouthUpperUpLeft": 0.35},
    **{"mouthUpperUpRight": 0.35},
}
"""How far each control at 1 parts the middle of the inner lips of ICT-FaceKit's mean head, centimetres."""


def lip_gap_cm(controls: Curve) -> Curve:
    """How far the lips are apart, [..., 19] (`rig.SPEECH`) to [...]; 0 at rest, below 0 where they press."""
    return (controls @ np.array([LIP_GAP_CM.get(name, 0.0) for name in SPEECH])).astype(np.float32)


@dataclass(frozen=True)
class Viseme:
    """How one sound looks.

    Attributes:
        shape: Target values by short control name (see `_NAMES`); what is missing is 0.
        jaw: Dominance over the jaw, 0 (takes any jaw its neighbours want) to 1.
        lips: Dominance over the lips, 0 to 1.
    """

    shape: Mapping[str, float]
    jaw: float = 0.6
    lips: float = 0.5


@dataclass(frozen=True)
class Seal:
    """A shape that must be reached whatever the neighbours want.

    Attributes:
        shape: As in `Viseme`, for the controls that the seal decides.
        strength: Share of the override at its peak, 0 to 1.
        lead_s: The lips start this long before the sound.
        hold: Share of the sound during which the seal holds.
        release_s: Time to let go.
    """

    shape: Mapping[str, float]
    strength: float
    lead_s: float
    hold: float
    release_s: float


_BILABIAL: Final = {"jaw": 0.04, "close": 0.035, "press": 0.25, "roll_low": 0.18, "roll_up": 0.14}
_LABIODENTAL: Final = {"jaw": 0.045, "roll_low": 0.4, "shrug_low": 0.15, "up": 0.2}
_NARROW: Final = {"jaw": 0.07, "low": 0.26, "up": 0.16, "stretch": 0.14}
_ROUND_NARROW: Final = {"jaw": 0.07, "funnel": 0.18, "pucker": 0.3, "low": 0.08}

VISEMES: Final[Mapping[str, Viseme]] = {
    PAUSE: Viseme({}, 0.7, 0.5),
    "aa": Viseme({"jaw": 0.29, "low": 0.18, "up": 0.1}, 1.0, 0.6),
    "ae": Viseme({"jaw": 0.26, "low": 0.24, "up": 0.16, "stretch": 0.12}, 1.0, 0.7),
    "ah": Viseme({"jaw": 0.19, "low": 0.16, "up": 0.09}, 0.8, 0.5),
    "ao": Viseme({"jaw": 0.21, "funnel": 0.09, "pucker": 0.22}, 1.0, 0.9),
    "eh": Viseme({"jaw": 0.25, "low": 0.28, "up": 0.18, "stretch": 0.14}, 1.0, 0.8),
    "er": Viseme({"jaw": 0.12, "funnel": 0.1, "pucker": 0.22}, 0.7, 0.7),
    "ih": Viseme({"jaw": 0.16, "low": 0.23, "up": 0.13, "stretch": 0.14, "smile": 0.05}, 0.8, 0.7),
    "iy": Viseme({"jaw": 0.16, "low": 0.32, "up": 0.2, "stretch": 0.22, "smile": 0.14}, 0.9, 0.9),
    "uh": Viseme({"jaw": 0.13, "funnel": 0.1, "pucker": 0.28}, 0.7, 0.8),
    "uw": Viseme({"jaw": 0.07, "funnel": 0.12, "pucker": 0.6}, 1.0, 1.0),
    "o": Viseme({"jaw": 0.17, "funnel": 0.14, "pucker": 0.32}, 0.9, 0.9),
    "w": Viseme({"jaw": 0.04, "funnel": 0.08, "pucker": 0.65}, 1.0, 1.0),
    "r": Viseme({"jaw": 0.07, "funnel": 0.08, "pucker": 0.26}, 0.6, 0.7),
    "y": Viseme({"jaw": 0.1, "low": 0.2, "up": 0.1, "stretch": 0.16, "smile": 0.1}, 0.5, 0.5),
    "l": Viseme({"jaw": 0.13, "low": 0.16, "up": 0.08}, 0.4, 0.3),
    "n": Viseme({"jaw": 0.1, "low": 0.18, "up": 0.08}, 0.4, 0.3),
    "t": Viseme({"jaw": 0.1, "low": 0.2, "up": 0.1}, 0.5, 0.3),
    "k": Viseme({"jaw": 0.15, "low": 0.18, "up": 0.1}, 0.3, 0.2),
    "th": Viseme({"jaw": 0.09, "low": 0.16, "up": 0.08}, 0.6, 0.5),
    "hh": Viseme({"jaw": 0.15, "low": 0.1, "up": 0.05}, 0.15, 0.1),
    "s": Viseme(_NARROW, 0.9, 0.5),
    "sh": Viseme(_ROUND_NARROW, 0.9, 0.9),
    "p": Viseme({"jaw": 0.06}, 0.4, 0.15),
    "f": Viseme({"jaw": 0.045, "up": 0.12}, 0.7, 0.4),
}
"""Shapes by sound, within a jaw of 0.3. Their lip gaps (`LIP_GAP_CM`) follow those measured on one filmed speaker
(GRID): about 1.1 cm in ey eh aa, 0.9 in iy ae, 0.6 in s t n, 0.4 in uw r, 0.3 in w, 0 in p b m."""

_LIKE: Final = {
    **{"b": "p", "m": "p", "v": "f", "z": "s", "zh": "sh", "ch": "sh", "jh": "sh", "d": "t", "g": "k", "ng": "k"},
    **{"dh": "th"},
}
_GLIDES: Final = {
    **{"aw": ("aa", "uw"), "ay": ("aa", "ih"), "ey": ("eh", "iy"), "ow": ("o", "uw"), "oy": ("ao", "ih")},
}
SEALS: Final[Mapping[str, Seal]] = {
    "p": Seal(_BILABIAL, 1.0, 0.08, 0.5, 0.06),
    "b": Seal(_BILABIAL, 1.0, 0.08, 0.6, 0.06),
    "m": Seal(_BILABIAL, 1.0, 0.08, 0.85, 0.06),
    "f": Seal(_LABIODENTAL, 0.9, 0.07, 0.8, 0.06),
    "v": Seal(_LABIODENTAL, 0.85, 0.06, 0.8, 0.06),
    "s": Seal({"jaw": 0.065}, 0.7, 0.05, 0.85, 0.05),
    "z": Seal({"jaw": 0.065}, 0.6, 0.05, 0.85, 0.05),
    "sh": Seal({"jaw": 0.065}, 0.7, 0.05, 0.85, 0.05),
}
CLOSED: Final = frozenset({"p", "b", "m"})
"""The sounds made with closed lips."""

LONG_PAUSE_S: Final = 0.2
"""Pauses from this length on bring the mouth to rest; in shorter ones it only narrows."""
_OPEN_BEFORE_S: Final = 0.12
_SHUT_WITHIN_S: Final = 0.16
_REACH_JAW_S: Final = (0.045, 0.045)  # before and after the sound
_REACH_LIPS_S: Final = (0.075, 0.05)


def lip_curves(phones: Sequence[Phone], times_s: NDArray[np.float64]) -> tuple[Curve, Curve, Curve]:
    """The curves that a sequence of phones draws.

    Args:
        phones: Sounds in rising order, without gaps; silence before and after is assumed.
        times_s: When to sample, [T], seconds.

    Returns:
        Values of `rig.SPEECH` [T, 19], 0 to 1; how much somebody speaks [T], 0 to 1, exactly 0 where the mouth rests;
        and how much the lips should be sealed [T], 0 to 1.
    """
    if not phones:
        nobody = np.zeros(len(times_s), np.float32)
        return np.zeros((len(times_s), len(SPEECH)), np.float32), nobody, nobody
    speaking = _speaking(phones, times_s)
    curves = _blend(_segments(phones), times_s)
    sealed = np.zeros(len(times_s))
    for phone in phones:
        if phone.name in SEALS:
            seal = SEALS[phone.name]
            share = seal.strength * _envelope(phone, seal, times_s)
            for column, value in _columns(seal.shape).items():
                curves[:, column] += share * (value - curves[:, column])
            if phone.name in CLOSED:
                _let_go(curves, share, seal)
                sealed = np.maximum(sealed, share)
    return (curves * speaking[:, None]).astype(np.float32), speaking.astype(np.float32), sealed.astype(np.float32)


def _let_go(curves: NDArray[np.float64], share: NDArray[np.float64], seal: Seal) -> None:
    """A seal of both lips also takes away whatever parts them."""
    for column in _columns({"low": 0.0, "up": 0.0, "funnel": 0.0}):
        if column not in _columns(seal.shape):
            curves[:, column] *= 1.0 - share


def _columns(shape: Mapping[str, float]) -> dict[int, float]:
    return {SPEECH.index(name): value for short, value in shape.items() for name in _NAMES[short]}


def _segments(phones: Sequence[Phone]) -> list[tuple[Viseme, float, float]]:
    """Visemes with start and end in seconds; a glide is two of them."""
    out: list[tuple[Viseme, float, float]] = []
    for phone in phones:
        if phone.name in _GLIDES:
            first, second = _GLIDES[phone.name]
            middle_s = phone.start_s + 0.55 * (phone.end_s - phone.start_s)
            out += [(VISEMES[first], phone.start_s, middle_s), (VISEMES[second], middle_s, phone.end_s)]
        else:
            out.append((VISEMES[_LIKE.get(phone.name, phone.name)], phone.start_s, phone.end_s))
    return out


def _blend(segments: list[tuple[Viseme, float, float]], times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    targets = np.zeros((len(segments), len(SPEECH)))  # [P, 19]
    for row, (viseme, _, _) in enumerate(segments):
        for column, value in _columns(viseme.shape).items():
            targets[row, column] = value
    bounds = np.array([(start_s, end_s) for _, start_s, end_s in segments])
    centre, half = bounds.mean(axis=1), (bounds[:, 1] - bounds[:, 0]) / 2
    away = times_s[:, None] - centre  # [T, P]
    curves = np.zeros((len(times_s), len(SPEECH)))
    for jaw, (before_s, after_s) in ((True, _REACH_JAW_S), (False, _REACH_LIPS_S)):
        strength = np.array([viseme.jaw if jaw else viseme.lips for viseme, _, _ in segments])
        width = half + np.where(away < 0, before_s, after_s)
        weight = strength * np.exp(-np.square(away / width)) + 1e-9
        mean = (weight @ targets) / weight.sum(axis=1, keepdims=True)
        columns = [c for c in range(len(SPEECH)) if (c in _JAW) == jaw]
        curves[:, columns] = mean[:, columns]
    return curves


def _envelope(phone: Phone, seal: Seal, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    held_s = phone.start_s + max(0.025, seal.hold * (phone.end_s - phone.start_s))
    rise = _smooth((times_s - (phone.start_s - seal.lead_s)) / (seal.lead_s - 0.01))
    fall = _smooth((times_s - held_s) / seal.release_s)
    return rise * (1.0 - fall)


def _speaking(phones: Sequence[Phone], times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 in speech, 0 at rest: rises just before a stretch of speech, falls after it."""
    level = np.zeros(len(times_s))
    for start_s, end_s in _stretches(phones):
        rise = _smooth((times_s - (start_s - _OPEN_BEFORE_S)) / _OPEN_BEFORE_S)
        fall = _smooth((times_s - end_s) / _SHUT_WITHIN_S)
        level = np.maximum(level, rise * (1.0 - fall))
    return level


def _stretches(phones: Sequence[Phone]) -> list[tuple[float, float]]:
    """Start and end in seconds of the speech between long pauses."""
    out: list[tuple[float, float]] = []
    for phone in phones:
        if phone.name == PAUSE:
            continue
        if out and phone.start_s - out[-1][1] < LONG_PAUSE_S:
            out[-1] = (out[-1][0], phone.end_s)
        else:
            out.append((phone.start_s, phone.end_s))
    return out


def _smooth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)
