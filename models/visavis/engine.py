"""Runs networks on a CPU: OpenVINO, or torch itself, which is the reference.

Exporting takes seconds, so an exported network is kept in the user's cache folder, named by a hash of all that it
depends on: weights, source code, versions. It may be deleted at any time.
"""

import hashlib
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import openvino

_SETTINGS: Final = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
# One thread leaves a core to whoever shares the machine: two wait for each other as soon as anything else runs. Pinned
# (the default) it waits for core 0 even while the other is free.

logger = logging.getLogger(__name__)

Backend = Literal["openvino", "eager"]
Tensors = Sequence[Tensor]
Run = Callable[[Tensors, Tensors], tuple[Tensor, ...]]
"""Runs a network on tensors that change with every call and on others that rarely do, all with a row per stream.

Handing a tensor to OpenVINO takes some 50 us, so the second sequence is handed over again only when it is another
object than in the call before.
"""


def engine(name: str, network: nn.Module, backend: Backend, moving: Tensors, fixed: Tensors = ()) -> Run:
    """Make a network ready to run without gradients.

    Args:
        name: Of the kept export; differs for networks that differ in more than their weights.
        network: In eval mode, on the CPU; takes `moving` and `fixed` as arguments and returns a tuple of tensors.
        backend: "openvino" compiles it for this processor, "eager" runs it as it stands.
        moving: One row of each argument that changes, for the shapes.
        fixed: One row of each that does not.
    """
    return _openvino(name, network, moving, fixed) if backend == "openvino" else _eager(network)


def _eager(network: nn.Module) -> Run:
    @torch.no_grad()
    def run(moving: Tensors, fixed: Tensors) -> tuple[Tensor, ...]:
        return network(*moving, *fixed)

    return run


def _openvino(name: str, network: nn.Module, moving: Tensors, fixed: Tensors) -> Run:
    import openvino  # most of a second to import: only who runs it pays

    core = openvino.Core()
    kept = _kept_export(name, network, openvino.__version__)
    model = core.read_model(kept) if kept.exists() else _export(network, [*moving, *fixed], kept)
    compiled = core.compile_model(model, "CPU", _SETTINGS)
    requests: list[openvino.InferRequest] = []  # one for each row, which remembers its fixed tensors
    handed: list[Tensors] = []

    def run(moving: Tensors, fixed: Tensors) -> tuple[Tensor, ...]:
        rows: list[list[Tensor]] = []
        for row in range(len(moving[0])):
            if row == len(requests):
                requests.append(compiled.create_infer_request())
                handed.append(())
            request = requests[row]
            new = moving if handed[row] is fixed else [*moving, *fixed]
            for place, tensor in enumerate(new):
                shared = openvino.Tensor(tensor[row : row + 1].numpy(), shared_memory=True)
                request.set_input_tensor(place, shared)
            handed[row] = fixed  # keeps the memory alive
            request.infer(share_outputs=True)
            rows.append([torch.from_numpy(tensor.data.copy()) for tensor in request.output_tensors])
        return tuple(column[0] if len(rows) == 1 else torch.cat(column) for column in zip(*rows, strict=True))

    return run


def _export(network: nn.Module, example: Tensors, kept: Path) -> "openvino.Model":
    """Trace the network with fixed shapes and keep the result."""
    import openvino

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns about shapes that are constants here
        model = openvino.convert_model(network, example_input=tuple(example))
    model.reshape({port: list(t.shape) for port, t in zip(model.inputs, example, strict=True)})
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            fresh = Path(folder) / kept.name
            openvino.save_model(model, fresh, compress_to_fp16=False)
            for suffix in (".bin", ".xml"):  # the .xml last: it says that the pair is whole
                fresh.with_suffix(suffix).replace(kept.with_suffix(suffix))
    except OSError as error:
        logger.warning("cannot keep the exported model, the next start will be slow: %s", error)
    return model


def _kept_export(name: str, network: nn.Module, version: str) -> Path:
    """Where the export of exactly this network belongs."""
    digest = hashlib.sha256(f"{version} {torch.__version__}".encode())
    digest.update(_source())
    for tensor in network.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "visavis" / "openvino" / f"{name}-{digest.hexdigest()[:20]}.xml"


@cache
def _source() -> bytes:
    """A hash of the code and of the rig, which ends up in the exports as constants."""
    here = Path(__file__).parent
    digest = hashlib.sha256((here / "weights" / "rig.safetensors").read_bytes())
    for path in [*sorted(here.glob("*.py")), *sorted((here.parents[1] / "kernels" / "splat").glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.digest()
