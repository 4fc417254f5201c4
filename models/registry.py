"""The systems that can draw a face, by name."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from models.errors import UnknownSystemError
from models.system import System

if TYPE_CHECKING:
    from models.visavis.renderer import Size

DEFAULT: Final = "visavis"


def load_system(name: str = DEFAULT) -> System:
    """Load a system with its bundled weights onto the CPU.

    Raises:
        UnknownSystemError: If `name` is not in `SYSTEMS`.
    """
    if name not in SYSTEMS:
        raise UnknownSystemError(name, tuple(SYSTEMS))
    return SYSTEMS[name]()


def _visavis(size: "Size") -> System:
    from models.visavis.system import Visavis  # imports one system's networks only when it is asked for

    # a system's `step` takes the state of its own `init_state` only, which a protocol cannot say
    return cast("System", Visavis.load(size=size))


SYSTEMS: Final[dict[str, Callable[[], System]]] = {
    "visavis": partial(_visavis, "small"),
    "visavis-base": partial(_visavis, "base"),
}
