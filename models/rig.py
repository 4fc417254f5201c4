"""The rig: the named controls that every part of visavis speaks.

Blendshapes carry the names of Apple's ARKit (as Live Link Face, MediaPipe and Audio2Face emit them), 0 to 1, "Left"
being the person's own left. Angles are degrees as a viewer sees the picture: yaw positive turns the face towards the
picture's right edge, pitch positive lifts the chin, roll positive tilts the head clockwise, gaze likewise.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import torch
from torch import Tensor

from models.constant import Constant
from models.errors import ControlError

BLENDSHAPES: Final = (
    *("eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft"),
    *("eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight"),
    *("eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel"),
    *("mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft"),
    *("mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight"),
    *("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft"),
    *("browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft"),
    *("cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut"),
)
ANGLES: Final = ("headYaw", "headPitch", "headRoll", "gazeYaw", "gazePitch")
CONTROLS: Final = BLENDSHAPES + ANGLES
"""All K = 57 control names; the order is that of every control vector."""

INDEX: Final[Mapping[str, int]] = {name: i for i, name in enumerate(CONTROLS)}

LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    **dict.fromkeys(BLENDSHAPES, (0.0, 1.0)),
    "headYaw": (-20.0, 20.0),
    "headPitch": (-15.0, 15.0),
    "headRoll": (-20.0, 20.0),
    "gazeYaw": (-25.0, 25.0),
    "gazePitch": (-20.0, 20.0),
}

SPEECH: Final = (
    *("jawOpen", "jawForward", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRollLower", "mouthRollUpper"),
    *("mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight", "mouthStretchLeft"),
    *("mouthStretchRight", "mouthSmileLeft", "mouthSmileRight", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight"),
)
"""The controls that speech moves: what an audio-to-rig net predicts, in this order."""

_RANGE: Final = tuple(Constant(torch.tensor([LIMITS[name][side] for name in CONTROLS])) for side in (0, 1))


def vector(values: Mapping[str, float]) -> Tensor:
    """A control vector [K] (float32) from named values, zero elsewhere, clamped to `LIMITS`.

    Raises:
        ControlError: If a name is not a control or a value is not finite.
    """
    out = torch.zeros(len(CONTROLS))
    for name, value in values.items():
        if name not in INDEX or not -1e6 < value < 1e6:
            raise ControlError(name, value)
        low, high = LIMITS[name]
        out[INDEX[name]] = min(max(value, low), high)
    return out


def columns(names: Iterable[str]) -> list[int]:
    """Where these controls lie in a control vector."""
    return [INDEX[name] for name in names]


def clamp(controls: Tensor) -> Tensor:
    """Control vectors [..., K] brought inside `LIMITS`."""
    low, high = (side.like(controls) for side in _RANGE)
    return controls.clamp(low, high)
