"""Random controls to render: what people's faces do when they speak, look about, blink and nod."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor

from models.rig import CONTROLS, INDEX

Range = tuple[float, float]

MOUTHS: Final[Mapping[str, Mapping[str, Range]]] = {
    "rest": {},
    "aa": {"jawOpen": (0.2, 0.65), "mouthLowerDown": (0.0, 0.4), "mouthUpperUp": (0.0, 0.3)},
    "ae": {"jawOpen": (0.1, 0.4), "mouthStretch": (0.0, 0.4), "mouthUpperUp": (0.1, 0.4), "mouthLowerDown": (0.1, 0.4)},
    "ee": {
        **{"jawOpen": (0.0, 0.15), "mouthSmile": (0.1, 0.5), "mouthStretch": (0.1, 0.5)},
        **{"mouthLowerDown": (0.1, 0.45), "mouthUpperUp": (0.05, 0.35)},
    },
    "oo": {"mouthPucker": (0.5, 1.0), "mouthFunnel": (0.0, 0.5), "jawOpen": (0.0, 0.15)},
    "oh": {"mouthFunnel": (0.3, 0.8), "mouthPucker": (0.1, 0.5), "jawOpen": (0.1, 0.4)},
    "mbp": {"mouthPress": (0.1, 0.7), "mouthRollLower": (0.1, 0.5), "mouthRollUpper": (0.1, 0.5)},
    "mbp open jaw": {"jawOpen": (0.05, 0.15), "mouthPress": (0.1, 0.5), "mouthRollLower": (0.0, 0.3)},
    "fv": {"mouthRollLower": (0.4, 0.9), "mouthUpperUp": (0.1, 0.4), "jawOpen": (0.02, 0.12)},
    "sh": {
        "mouthFunnel": (0.3, 0.6),
        "mouthLowerDown": (0.0, 0.3),
        "mouthUpperUp": (0.0, 0.3),
        "jawOpen": (0.02, 0.15),
    },
    "st": {
        "jawOpen": (0.02, 0.12),
        "mouthStretch": (0.0, 0.4),
        "mouthLowerDown": (0.1, 0.4),
        "mouthUpperUp": (0.0, 0.2),
    },
    "l": {"jawOpen": (0.1, 0.25), "mouthLowerDown": (0.0, 0.3)},
    "smile": {"mouthSmile": (0.1, 0.7), "cheekSquint": (0.0, 0.4)},
    "frown": {"mouthFrown": (0.1, 0.6), "mouthShrugLower": (0.0, 0.5), "mouthShrugUpper": (0.0, 0.3)},
}
"""Ranges of the shapes that make a mouth; a name without a side stands for both sides."""

SHARE: Final = {"rest": 2.0, "aa": 1.5, "oo": 1.5, "mbp": 1.5, "smile": 0.7, "frown": 0.4}
CLOSING: Final = 0.8
"""mouthClose that keeps the lips together, as a share of jawOpen."""


def both(controls: Tensor, name: str, value: float, tilt: float = 0.0) -> None:
    """Add `value` to a control, or to its left and right (differing by `tilt`); in place."""
    if name in INDEX:
        controls[INDEX[name]] += value
        return
    controls[INDEX[name + "Left"]] += max(0.0, value * (1 + tilt))
    controls[INDEX[name + "Right"]] += max(0.0, value * (1 - tilt))


def random_mouth(controls: Tensor, rng: np.random.Generator) -> None:
    """Shape the mouth in place: one of `MOUTHS`, sometimes two mixed, sometimes a bit of anything on top."""
    names = list(MOUTHS)
    share = np.array([SHARE.get(name, 1.0) for name in names])
    picked = [str(name) for name in rng.choice(names, 2, p=share / share.sum())]
    parts = [(picked[0], 1.0)]
    if rng.random() < 0.3:
        mix = rng.uniform(0.3, 0.7)
        parts = [(picked[0], mix), (picked[1], 1 - mix)]
    for mouth, amount in parts:
        for name, (low, high) in MOUTHS[mouth].items():
            both(controls, name, amount * rng.uniform(low, high), rng.normal(0.0, 0.1))
        if mouth == "mbp open jaw":
            both(controls, "mouthClose", CLOSING * float(controls[INDEX["jawOpen"]]) * rng.uniform(0.9, 1.1))
    if rng.random() < 0.15:
        both(controls, str(rng.choice(["mouthLeft", "mouthRight", "jawLeft", "jawRight"])), rng.uniform(0.0, 0.25))
    if rng.random() < 0.1:
        both(controls, str(rng.choice(["mouthDimple", "cheekPuff", "noseSneer", "jawForward"])), rng.uniform(0.0, 0.5))


def random_eyes(controls: Tensor, rng: np.random.Generator) -> None:
    """Gaze, lids and brows, in place: three in ten blink, half of those half way."""
    if rng.random() < 0.6:
        controls[INDEX["gazeYaw"]] = float(np.clip(rng.normal(0.0, 9.0), -20, 20))
        controls[INDEX["gazePitch"]] = float(np.clip(rng.normal(0.0, 6.0), -20, 20))
    if rng.random() < 0.3:
        both(controls, "eyeBlink", 1.0 if rng.random() < 0.5 else rng.uniform(0.1, 0.95))
    elif rng.random() < 0.2:
        both(controls, str(rng.choice(["eyeSquint", "eyeWide"])), rng.uniform(0.0, 0.6))
    if rng.random() < 0.35:
        both(controls, str(rng.choice(["browInnerUp", "browOuterUp", "browDown"])), rng.uniform(0.0, 0.7))


def random_head(controls: Tensor, rng: np.random.Generator) -> None:
    """Turn, nod and tilt, in place: up to 15, 10 and 15 degrees."""
    if rng.random() < 0.85:
        for name, limit in (("headYaw", 15.0), ("headPitch", 10.0), ("headRoll", 15.0)):
            controls[INDEX[name]] = float(rng.uniform(-1.0, 1.0) * limit * (1.0 if rng.random() < 0.5 else 0.4))


def random_controls(rng: np.random.Generator, own: Tensor) -> Tensor:
    """One random state [57]; `own` [57] are the controls of the photo, which sometimes linger."""
    controls = torch.zeros(len(CONTROLS))
    random_mouth(controls, rng)
    random_eyes(controls, rng)
    random_head(controls, rng)
    shapes = slice(0, INDEX["headYaw"])
    controls[shapes].clamp_(0.0, 1.0)
    if rng.random() < 0.3:
        controls[shapes] += own[shapes] * rng.uniform(0.0, 1.0)
    return controls
