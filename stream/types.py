"""What flows between the stages of a session: frozen dataclasses, units in the names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]

MAX_LOOKAHEAD_MS: Final = 1000
"""More than any system offers."""

STAGES: Final = ("receive", "queue", "features", "render", "convert", "encode", "hold", "send", "total")
"""The stages of one frame, in order, as `stats`, `snapshot` and `/metrics` name them; `total` is first to last."""

Outcome = Literal["sent", "late", "dropped"]
"""`late`: sent after the next frame was due. `dropped`: never drawn."""


@dataclass(frozen=True)
class IceServer:
    """One STUN or TURN server, as in the browser's `RTCIceServer`."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


@dataclass(frozen=True)
class SessionOptions:
    """What a client may choose when it opens a session.

    Attributes:
        lookahead_ms: Wanted look-ahead, 0 to 1000; the session takes the nearest that the system offers.
        idle: Blinks and micro-motion.
        voice: Send the caller's voice back in sync with the face.
        seed: Of the idle life.
    """

    lookahead_ms: int = 40
    idle: bool = True
    voice: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.lookahead_ms <= MAX_LOOKAHEAD_MS:
            raise ValueError(f"lookahead_ms must be 0 to {MAX_LOOKAHEAD_MS}, got {self.lookahead_ms}")


@dataclass(frozen=True)
class FrameReport:
    """What became of one frame.

    Attributes:
        frame: Its number; its media time is 40 * frame ms.
        outcome: Sent, sent late, or dropped.
        stages_ms: How long each of `STAGES` took; empty for a dropped frame.
    """

    frame: int
    outcome: Outcome
    stages_ms: Mapping[str, float]
