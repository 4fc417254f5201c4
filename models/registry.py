"""The systems that can draw a face, by name."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from models.errors import UnknownSystemError
from models.system import System

if TYPE_CHECKING:
    from models.visavis.renderer import Size

DEFAULT: Final = "visavis"


def load_system(name: str = DEFAULT, backend: str = "auto", precision: str = "auto") -> System:
    """Load a system with its bundled weights.

    Args:
        name: One of `SYSTEMS`.
        backend: What draws, one of `models.visavis.engine.BACKENDS`, or "auto": what is fastest here.
        precision: One of `models.visavis.engine.PRECISIONS`, or "auto": what the device is fast in.

    Raises:
        UnknownSystemError: If `name` is not in `SYSTEMS`.
        BackendError: If backend or precision cannot work on this machine.
    """
    if name not in SYSTEMS:
        raise UnknownSystemError(name, tuple(SYSTEMS))
    return SYSTEMS[name](backend, precision)


def _visavis(size: "Size", backend: str, precision: str) -> System:
    from models.visavis.system import Visavis  # imports one system's networks only when it is asked for

    # a system's `step` takes the state of its own `init_state` only, which a protocol cannot say
    return cast("System", Visavis.load(backend, size, precision=precision))


SYSTEMS: Final[dict[str, Callable[[str, str], System]]] = {
    "visavis": partial(_visavis, "small"),
    "visavis-base": partial(_visavis, "base"),
}
