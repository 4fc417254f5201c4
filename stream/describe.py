"""A system in words and numbers: what `visavis systems` and `GET /v1/systems` tell."""

from typing import TypedDict

from models.system import Facts
from stream.targets import obeyed


class SystemFacts(TypedDict):
    """What a system needs and what it can obey; see `models.system.Facts`.

    Attributes:
        controls: All that a client may tell it by name: rig controls and dials.
    """

    name: str
    front_end: str
    lookahead_ms: list[int]
    frame_px: int
    controls: list[str]


def describe(system: Facts) -> SystemFacts:
    """The facts of a system, ready for JSON."""
    return {
        "name": system.name,
        "front_end": system.front_end,
        "lookahead_ms": list(system.lookahead_ms),
        "frame_px": system.frame_px,
        "controls": sorted(obeyed(system.controls)),
    }
