"""Published checkpoints of every system to one safetensors file each, with the system's name and sizes in it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from models.checkpoint import Report
from models.weights import write_weights


@dataclass(frozen=True)
class Converted:
    """A system's networks as read from what its authors published.

    Attributes:
        tensors: By our names.
        config: Sizes of the networks: the fields of the system's own config.
        report: What was loaded, ignored and missing.
    """

    tensors: dict[str, Tensor]
    config: dict[str, Any]
    report: Report


def convert(system: str, paths: Sequence[Path], out: Path) -> Report:
    """Read published files and write them as safetensors; metadata `system` and `config` (JSON) say what they are.

    What stood at `out` stays until the new file is complete.

    Args:
        system: One of `CONVERTERS`.
        paths: For PC-AVS a folder, for TAVCE several files, for the others one.
        out: The file to write.

    Raises:
        CheckpointError: If a file is damaged, unsafe, or of another system or size.
    """
    converted = CONVERTERS[system](paths)
    write_weights(out, system, converted.tensors, converted.config)
    return converted.report


def _davs(paths: Sequence[Path]) -> Converted:
    from models.davs.convert import convert  # imports one system's networks only when it is asked for

    (path,) = paths
    networks, report = convert(path)
    return Converted(networks.state_dict(), asdict(networks.config), report)


def _pcavs(paths: Sequence[Path]) -> Converted:
    from models.pcavs.convert import convert

    (folder,) = paths
    networks, report = convert(folder)
    return Converted(networks.state_dict(), asdict(networks.config), report)


def _tavce(paths: Sequence[Path]) -> Converted:
    from models.tavce.convert import convert

    networks, report = convert(paths)
    return Converted(networks.state_dict(), asdict(networks.config), report)


def _equiav(paths: Sequence[Path]) -> Converted:
    from models.equiav.convert import convert

    (path,) = paths
    network, report = convert(path)
    return Converted(network.state_dict(), asdict(network.config), report)


CONVERTERS: Final[dict[str, Callable[[Sequence[Path]], Converted]]] = {
    "davs": _davs,
    "pcavs": _pcavs,
    "tavce": _tavce,
    "equiav": _equiav,
}
"""FC-TFG is not among them: its authors have published no checkpoint."""
