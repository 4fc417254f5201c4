"""Runs the drawing on a CPU: OpenVINO, or torch itself, which is the reference.

Exporting the drawing takes several seconds, so the exported model is kept in the user's cache folder, named by a hash
of all that it depends on: weights, source code, versions. It may be deleted at any time.
"""

import hashlib
import logging
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import torch
from torch import Tensor, nn

from models.visavis.drawing import Drawing, Faces
from models.visavis.fit import FRAME_PX

if TYPE_CHECKING:
    import openvino

_SETTINGS: Final = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
# One thread leaves a core to whoever shares the machine: two wait for each other as soon as anything else runs. Pinned
# (the default) it waits for core 0 even while the other is free.

logger = logging.getLogger(__name__)

Backend = Literal["openvino", "eager"]
Draw = Callable[[Faces, Tensor], Tensor]
"""`Drawing.forward`, whoever runs it."""


def engine(drawing: Drawing, backend: Backend, example: Faces) -> Draw:
    """Make `drawing` ready to run without gradients.

    Args:
        drawing: In eval mode, on the CPU.
        backend: "openvino" compiles it for this processor, "eager" runs it as it stands.
        example: One row of any identity, for the shapes.
    """
    return _openvino(drawing, example) if backend == "openvino" else torch.no_grad()(drawing)


def _openvino(drawing: Drawing, example: Faces) -> Draw:
    import openvino  # most of a second to import: only who runs it pays

    core = openvino.Core()
    kept = _kept_model(drawing, openvino.__version__)
    model = core.read_model(kept) if kept.exists() else _export(drawing, example, kept)
    request = core.compile_model(model, "CPU", _SETTINGS).create_infer_request()

    def draw(faces: Faces, controls: Tensor) -> Tensor:
        inputs = (controls, *faces.tensors().values())
        frames = torch.empty(len(controls), 3, FRAME_PX, FRAME_PX)
        for i in range(len(controls)):
            row = request.infer([t[i : i + 1].numpy() for t in inputs], share_inputs=True, share_outputs=True)
            frames[i] = torch.from_numpy(row[0][0])
        return frames

    return draw


class _Flat(nn.Module):
    """`Drawing` with tensors as arguments, as tracing wants it."""

    def __init__(self, drawing: Drawing, names: list[str]) -> None:
        super().__init__()
        self.drawing, self.names = drawing, names

    def forward(self, controls: Tensor, *tensors: Tensor) -> Tensor:
        return self.drawing(Faces.from_tensors(dict(zip(self.names, tensors, strict=True))), controls)


def _export(drawing: Drawing, example: Faces, kept: Path) -> "openvino.Model":
    """Trace the drawing with fixed shapes and keep the result."""
    import openvino

    tensors = example.tensors()
    inputs = (torch.zeros(1, example.own.shape[1]), *tensors.values())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns about shapes that are constants here
        model = openvino.convert_model(_Flat(drawing, list(tensors)), example_input=inputs)
    model.reshape({port: list(t.shape) for port, t in zip(model.inputs, inputs, strict=True)})
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


def _kept_model(drawing: Drawing, version: str) -> Path:
    """Where the export of exactly this drawing belongs."""
    digest = hashlib.sha256(f"{version} {torch.__version__}".encode())
    here = Path(__file__).parent
    for path in [*sorted(here.glob("*.py")), *sorted((here.parents[1] / "kernels" / "splat").glob("*.py"))]:
        digest.update(path.read_bytes())
    digest.update((here / "weights" / "rig.safetensors").read_bytes())
    digest.update(str(drawing.regions).encode())
    for tensor in drawing.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "visavis" / "openvino" / f"{digest.hexdigest()[:20]}.xml"
