"""Exports of networks for OpenVINO, kept between runs.

Exporting takes seconds, so an export is kept in the user's cache folder, named by a hash of all that it depends on:
weights, source code, versions. It may be deleted at any time. A damaged one is made anew.
"""

import hashlib
import logging
import os
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import openvino

_DIGITS: Final = 20

logger = logging.getLogger(__name__)


def exported(
    name: str, network: nn.Module, example: tuple[Tensor, ...], core: "openvino.Core", sources: Sequence[Path] = ()
) -> "openvino.Model":
    """The network as OpenVINO's model: the kept one if it is whole, else a new one, which is then kept.

    Args:
        name: Differs for networks that differ in more than weights, sizes and sources.
        network: In eval mode, on the CPU; returns a tuple of tensors, or one.
        example: Its arguments; the model takes these shapes only.
        core: Reads the kept one.
        sources: What else the network depends on: files, and folders of Python files.
    """
    import openvino

    kept = _place(name, network, example, (openvino.__version__, torch.__version__), tuple(sources))
    if kept.exists():
        if (found := _read(kept, core)) is not None:
            return found
        logger.warning("the kept export %s is damaged: exporting anew, which takes some seconds", kept)
    elif any(kept.parent.glob(f"{name}-{'?' * _DIGITS}.xml")):
        logger.info("the kept exports of %s are of other versions: exporting anew, which takes some seconds", name)
    model = _export(network, example)
    try:
        _keep(model, kept)
    except OSError as error:
        logger.warning("cannot keep the exported model, the next start will be slow: %s", error)
    return model


def _export(network: nn.Module, example: tuple[Tensor, ...]) -> "openvino.Model":
    """Trace the network with fixed shapes."""
    import openvino

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns about shapes that are constants here
        traced = torch.jit.trace(network, example, check_trace=False)  # OpenVINO's own tracing minds tensors *passed so
        model = openvino.convert_model(traced, example_input=example)
    model.reshape({port: list(t.shape) for port, t in zip(model.inputs, example, strict=True)})
    return model


def _keep(model: "openvino.Model", kept: Path) -> None:
    import openvino

    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        fresh = Path(folder) / kept.name
        openvino.save_model(model, fresh, compress_to_fp16=False)
        fresh.with_suffix(".sha256").write_text(_checksum(fresh))
        for suffix in (".bin", ".sha256", ".xml"):  # the .xml last: it says that there is something to read
            fresh.with_suffix(suffix).replace(kept.with_suffix(suffix))


def _read(kept: Path, core: "openvino.Core") -> "openvino.Model | None":
    """The kept model, or None if its files are not those that were written."""
    try:
        if kept.with_suffix(".sha256").read_text() != _checksum(kept):
            return None
        return core.read_model(kept)
    except (OSError, RuntimeError) as error:
        logger.warning("cannot read %s: %s", kept, error)
        return None


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    for suffix in (".xml", ".bin"):
        digest.update(path.with_suffix(suffix).read_bytes())
    return digest.hexdigest()


def _place(
    name: str, network: nn.Module, example: tuple[Tensor, ...], versions: tuple[str, ...], sources: tuple[Path, ...]
) -> Path:
    """Where the export of exactly this network belongs."""
    shapes = [tuple(tensor.shape) for tensor in (*example, *network.state_dict().values())]
    digest = hashlib.sha256(f"{versions} {shapes} {network}".encode())
    digest.update(_hash(sources))
    for tensor in network.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "visavis" / "openvino" / f"{name}-{digest.hexdigest()[:_DIGITS]}.xml"


@cache
def _hash(sources: tuple[Path, ...]) -> bytes:
    digest = hashlib.sha256()
    for source in sources:
        for path in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            digest.update(path.read_bytes())
    return digest.digest()
