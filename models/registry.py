"""The systems that can draw a face, by name."""

import logging
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from torch import nn

from models.errors import CheckpointError, MissingWeightsError, UnknownSystemError
from models.system import Facts, KnownFacts, System
from models.weights import Weights, config_from, read_weights

if TYPE_CHECKING:
    from models.engine import Plan
    from models.visavis.renderer import Size

DEFAULT: Final = "visavis"
UNPUBLISHED: Final = ("fctfg",)
"""Systems whose authors have released no weights to convert."""

N = TypeVar("N", bound=nn.Module)

logger = logging.getLogger(__name__)


def systems() -> tuple[str, ...]:
    """Names of the systems whose weights are here."""
    return (*HOUSE, *(name for name in PUBLISHED if bundled(name) is not None))


def bundled(name: str) -> Path | None:
    """The weights of a published system that lie beside its code, if any do."""
    return next(iter(sorted((Path(__file__).parent / name / "weights").glob("*.safetensors"))), None)


@cache
def facts(name: str) -> Facts:
    """What a system with its bundled weights says of itself, sooner than it could draw; kept once known.

    Raises:
        UnknownSystemError, MissingWeightsError, CheckpointError: As of `load_system`.
    """
    if name not in SIZES:
        from models.engine import REFERENCE

        loaded = PUBLISHED[name](_published(name, None), REFERENCE)  # which exports nothing
        return KnownFacts(name, loaded.front_end, loaded.lookahead_ms, loaded.frame_px, loaded.controls)
    from models.visavis.renderer import DETAIL, FRAME_PX
    from models.visavis.system import Visavis

    return KnownFacts(name, Visavis.front_end, Visavis.lookahead_ms, FRAME_PX * DETAIL[SIZES[name]], Visavis.controls)


def load_system(
    name: str = DEFAULT, weights: Path | None = None, backend: str = "auto", precision: str = "auto"
) -> System:
    """Load a system.

    Args:
        name: Of the system.
        weights: A file that `visavis train` or `visavis convert` wrote, for visavis a renderer's; the bundled weights
            if None.
        backend: What draws, one of `models.engine.BACKENDS`, or "auto": what is fastest here. The published systems
            know "eager" and "openvino", on the CPU.
        precision: What the painter is computed in, one of `models.engine.PRECISIONS`, or "auto": what the device is
            fast in; for a published system fp32.

    Raises:
        UnknownSystemError: If nobody knows the name.
        MissingWeightsError: If the system has no bundled weights and none are given.
        CheckpointError: If the file is damaged or of another system.
        BackendError: If backend or precision cannot work on this machine.
    """
    if name in HOUSE:
        return HOUSE[name](weights, backend, precision)
    found = _published(name, weights)
    from models.engine import choose_published

    plan = choose_published(backend, precision)
    logger.info("engine: %s", plan)
    return PUBLISHED[name](found, plan)


def _published(name: str, path: Path | None) -> Weights:
    """A published system's weights; `path` None takes the bundled ones. Raises what `load_system` does."""
    if name not in PUBLISHED:
        raise UnknownSystemError(name, (*HOUSE, *PUBLISHED))
    path = path or bundled(name)
    if path is None:
        raise MissingWeightsError(name, published=name not in UNPUBLISHED)
    return read_weights(path, name)


def _visavis(size: "Size", path: Path | None, backend: str, precision: str) -> System:
    from models.visavis.system import Visavis  # imports one system's networks only when it is asked for

    # a system's `step` takes the state of its own `init_state` only, which a protocol cannot say
    return cast("System", Visavis.load(backend, size, path, precision=precision))


def _davs(weights: Weights, plan: "Plan") -> System:
    from models.davs.config import DavsConfig
    from models.davs.networks import DavsNetworks
    from models.davs.system import Davs

    return cast("System", Davs(_filled(DavsNetworks(config_from(DavsConfig, weights.config)), weights), plan))


def _pcavs(weights: Weights, plan: "Plan") -> System:
    from models.pcavs.config import PcavsConfig
    from models.pcavs.networks import PcavsNetworks
    from models.pcavs.system import Pcavs

    networks = _filled(PcavsNetworks(config_from(PcavsConfig, weights.config)), weights)
    return cast("System", Pcavs(networks, plan=plan))


def _fctfg(weights: Weights, plan: "Plan") -> System:
    from models.fctfg.config import FctfgConfig
    from models.fctfg.networks import FctfgNetworks
    from models.fctfg.system import Fctfg

    networks = _filled(FctfgNetworks(config_from(FctfgConfig, weights.config)), weights)
    return cast("System", Fctfg(networks, plan=plan))


def _tavce(weights: Weights, plan: "Plan") -> System:
    from models.tavce.config import TavceConfig
    from models.tavce.networks import TavceNetworks
    from models.tavce.rig_reader import read_coefficients
    from models.tavce.system import Tavce

    if "trained" not in weights.notes:
        got = "published TAVCE weights, whose coefficients only SadTalker's 3-D face network reads off a photo"
        raise CheckpointError(got, "weights that `visavis train --system tavce` wrote, which read them by the rig")
    networks = _filled(TavceNetworks(config_from(TavceConfig, weights.config)), weights)
    return cast("System", Tavce(networks, read_coefficients, plan))


def _filled(networks: N, weights: Weights) -> N:
    try:
        networks.load_state_dict(weights.tensors)
    except RuntimeError as error:
        raise CheckpointError("tensors that do not fit the sizes in the file", "a complete file of weights") from error
    return networks


SIZES: "Final[dict[str, Size]]" = {"visavis": "small", "visavis-base": "base"}
HOUSE: Final[dict[str, Callable[[Path | None, str, str], System]]] = {
    name: partial(_visavis, size) for name, size in SIZES.items()
}
PUBLISHED: Final[dict[str, "Callable[[Weights, Plan], System]"]] = {
    "davs": _davs,
    "pcavs": _pcavs,
    "fctfg": _fctfg,
    "tavce": _tavce,
}
