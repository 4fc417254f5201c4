"""Named emotions as control vectors, made so that lips which meet in a p, b or m meet under every one of them.

No shape opens the mouth: that is the voice's part. The rig is linear, so an emotion adds its own lip gap to the
voice's; where a shape lifts the upper lip (a wrinkled nose), a little mouthClose takes that back.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

from models.errors import EmotionError

if TYPE_CHECKING:
    from torch import Tensor

NEUTRAL: Final = "neutral"

_SHAPES: Final[Mapping[str, Mapping[str, float]]] = {
    NEUTRAL: {},
    "happy": {"mouthSmile": 0.55, "cheekSquint": 0.5, "eyeSquint": 0.25, "mouthDimple": 0.15, "browOuterUp": 0.1},
    "sad": {"browInnerUp": 0.75, "browDown": 0.15, "mouthFrown": 0.6, "eyeSquint": 0.15, "mouthShrugLower": 0.1},
    "angry": {"browDown": 0.9, "eyeSquint": 0.35, "eyeWide": 0.1, "mouthPress": 0.2, "mouthFrown": 0.25},
    "afraid": {"browInnerUp": 0.8, "browOuterUp": 0.3, "browDown": 0.2, "eyeWide": 0.6, "mouthStretch": 0.35},
    "surprised": {"browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.7},
    "disgusted": {"noseSneer": 0.4, "browDown": 0.5, "cheekSquint": 0.4, "mouthFrown": 0.3, "mouthClose": 0.1},
}

EMOTIONS: Final = tuple(_SHAPES)
"""Their names; "neutral" first."""


def shapes_of(name: str) -> dict[str, float]:
    """The rig controls of an emotion at its full intensity.

    Raises:
        EmotionError: If nobody knows the name.
    """
    from models.rig import BLENDSHAPES  # numpy and torch: a command line that lists the names must not wait for it

    if name not in _SHAPES:
        raise EmotionError(name, EMOTIONS)
    shapes: dict[str, float] = {}
    for key, share in _SHAPES[name].items():
        sides = (key,) if key in BLENDSHAPES else (f"{key}Left", f"{key}Right")
        shapes |= dict.fromkeys(sides, share)
    return shapes


@cache
def _full(name: str) -> "Tensor":
    from models.rig import vector

    return vector(shapes_of(name))


def emotion(name: str, intensity: float = 1.0) -> "Tensor":
    """What an emotion adds to the controls.

    Args:
        name: One of `EMOTIONS`.
        intensity: 0 (nothing) to 1; clamped.

    Returns:
        Control vector, [57], float32, proportional to the intensity.

    Raises:
        EmotionError: If nobody knows the name.
    """
    return _full(name) * min(max(intensity, 0.0), 1.0)
