"""OpenVINO on the CPU: the geometry as one model, the painter as one for each region, the blend in torch.

Handing a tensor to OpenVINO takes some 50 us, so what passes from frame to frame and from model to model lies in
buffers that are handed over once, and each identity keeps a request that remembers its tensors.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from models.rig import CONTROLS
from models.visavis.drawing import Drawing, blend, per_region
from models.visavis.engine.choice import Precision
from models.visavis.engine.exports import exported
from models.visavis.engine.rows import Recent, Row

if TYPE_CHECKING:
    import openvino

CAPACITY: Final = 16
"""Identities whose requests are kept."""

_SETTINGS: Final = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
# One thread leaves a core to whoever shares the machine: two wait for each other as soon as anything else runs. Pinned
# (the default) it waits for core 0 even while the other is free.
_HINTS: Final[dict[Precision, str]] = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}


class Compiler:
    """Compiles networks for this processor, each name once."""

    def __init__(self, prefix: str, precision: Precision) -> None:
        """`prefix` names the kept exports; `precision` is the painter's."""
        import openvino  # most of a second to import: only who runs it pays

        self._core = openvino.Core()
        self._prefix = prefix
        self.precision: Precision = precision
        self._done: dict[str, openvino.CompiledModel] = {}

    def compiled(
        self, name: str, network: nn.Module, example: tuple[Tensor, ...], precision: Precision = "fp32"
    ) -> "openvino.CompiledModel":
        """The network for arguments of these shapes."""
        if name not in self._done:
            model = exported(f"{self._prefix}-{name}", network, example, self._core)
            settings = _SETTINGS | {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
            self._done[name] = self._core.compile_model(model, "CPU", settings)
        return self._done[name]


class OpenVino:
    """Draws the rows of a batch one after the other; see `Run`."""

    def __init__(self, compiler: Compiler, drawing: Drawing, row: Row) -> None:
        """`row` is any identity, for the shapes; `drawing` is on the CPU, in float32."""
        self._controls = torch.zeros(1, len(CONTROLS))
        with torch.no_grad():
            self._posed = drawing.rigged(self._controls, *row)  # buffers from here on
        regions = drawing.rigged.regions
        self._rigged = compiler.compiled("-and-".join(("rig", *regions)), drawing.rigged, (self._controls, *row))
        self._corners: list[Tensor] = []
        self._painted: list[Tensor] = []
        self._painters: list[openvino.InferRequest] = []
        for region, (corner, *maps) in zip(regions, per_region(self._posed[2:]), strict=True):
            inputs, painted = (*maps, self._posed[1]), maps[0][:, :3].clone()
            model = compiler.compiled(f"paint-{region}", drawing.painter, inputs, compiler.precision)
            self._painters.append(_request(model, inputs, [painted]))
            self._painted.append(painted)
            self._corners.append(corner)
        self._requests = Recent(CAPACITY, self._seat)

    @torch.no_grad()
    def __call__(self, controls: Tensor, rows: Sequence[Row]) -> Tensor:
        frames = [self._one(controls[at : at + 1], row) for at, row in enumerate(rows)]
        return frames[0] if len(frames) == 1 else torch.cat(frames)

    def _one(self, controls: Tensor, row: Row) -> Tensor:
        self._controls.copy_(controls)
        self._requests.of(row).infer(share_outputs=True)
        frame = self._posed[0].clone()
        for paint, painted, corner in zip(self._painters, self._painted, self._corners, strict=True):
            paint.infer(share_outputs=True)
            frame = blend(frame, painted, corner)
        return frame

    def _seat(self, row: Row, old: "openvino.InferRequest | None") -> "openvino.InferRequest":
        """A request that remembers this identity."""
        if old is None:
            return _request(self._rigged, (self._controls, *row), self._posed)
        _hand_over(old, row, first=1)
        return old


class OpenVinoSteps:
    """A small network without identities, for batches; a row at a time."""

    def __init__(self, compiler: Compiler, name: str, network: nn.Module, example: tuple[Tensor, ...]) -> None:
        """`example` is one row of each argument."""
        self._inputs = tuple(tensor.clone() for tensor in example)
        with torch.no_grad():
            self._answers: tuple[Tensor, ...] = network(*example)
        self._request = _request(compiler.compiled(name, network, example), self._inputs, self._answers)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the network answers to these arguments."""
        rows: list[tuple[Tensor, ...]] = []
        for row in range(len(inputs[0])):
            for buffer, tensor in zip(self._inputs, inputs, strict=True):
                buffer.copy_(tensor[row : row + 1])
            self._request.infer(share_outputs=True)
            rows.append(tuple(answer.clone() for answer in self._answers))
        return rows[0] if len(rows) == 1 else tuple(torch.cat(column) for column in zip(*rows, strict=True))


def _request(
    model: "openvino.CompiledModel", inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> "openvino.InferRequest":
    """A request that reads and writes these tensors."""
    import openvino

    request = model.create_infer_request()
    _hand_over(request, inputs)
    for place, tensor in enumerate(outputs):
        request.set_output_tensor(place, openvino.Tensor(tensor.numpy(), shared_memory=True))
    return request


def _hand_over(request: "openvino.InferRequest", inputs: Sequence[Tensor], first: int = 0) -> None:
    import openvino

    for place, tensor in enumerate(inputs, first):
        request.set_input_tensor(place, openvino.Tensor(tensor.numpy(), shared_memory=True))
