"""OpenVINO on the CPU.

Handing a tensor to OpenVINO takes some 50 us, so what passes from frame to frame lies in buffers that are handed over
once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from models.engine.choice import Precision
from models.engine.exports import exported

if TYPE_CHECKING:
    import openvino

_SETTINGS: Final = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
# One thread leaves a core to whoever shares the machine: two wait for each other as soon as anything else runs. Pinned
# (the default) it waits for core 0 even while the other is free.
_HINTS: Final[dict[Precision, str]] = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}


class Compiler:
    """Compiles networks for this processor, each name once."""

    def __init__(self, prefix: str, sources: Sequence[Path]) -> None:
        """`prefix` names the kept exports; `sources` as for `exported`."""
        import openvino  # most of a second to import: only who runs it pays

        self._core = openvino.Core()
        self._prefix, self._sources = prefix, sources
        self._done: dict[str, openvino.CompiledModel] = {}

    def compiled(
        self, name: str, network: nn.Module, example: tuple[Tensor, ...], precision: Precision = "fp32"
    ) -> "openvino.CompiledModel":
        """The network for arguments of these shapes."""
        if name not in self._done:
            model = exported(f"{self._prefix}-{name}", network, example, self._core, self._sources)
            settings = _SETTINGS | {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
            self._done[name] = self._core.compile_model(model, "CPU", settings)
        return self._done[name]


class OpenVinoSteps:
    """A network that answers with a tuple of tensors, for batches; a row at a time."""

    def __init__(
        self,
        compiler: Compiler,
        name: str,
        network: nn.Module,
        example: tuple[Tensor, ...],
        precision: Precision = "fp32",
    ) -> None:
        """`example` is one row of each argument."""
        self._inputs = tuple(tensor.clone(memory_format=torch.contiguous_format) for tensor in example)
        with torch.no_grad():
            answers: tuple[Tensor, ...] = network(*example)
        self._answers = tuple(answer.contiguous() for answer in answers)
        model = compiler.compiled(name, network, example, precision)
        self._request = bound_request(model, self._inputs, self._answers)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the network answers to these arguments."""
        rows: list[tuple[Tensor, ...]] = []
        for row in range(len(inputs[0])):
            for buffer, tensor in zip(self._inputs, inputs, strict=True):
                buffer.copy_(tensor[row : row + 1])
            self._request.infer(share_outputs=True)
            rows.append(tuple(answer.clone() for answer in self._answers))
        return rows[0] if len(rows) == 1 else tuple(torch.cat(column) for column in zip(*rows, strict=True))


def bound_request(
    model: "openvino.CompiledModel", inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> "openvino.InferRequest":
    """A request that reads and writes these tensors."""
    import openvino

    request = model.create_infer_request()
    hand_over(request, inputs)
    for place, tensor in enumerate(outputs):
        request.set_output_tensor(place, openvino.Tensor(tensor.numpy(), shared_memory=True))
    return request


def hand_over(request: "openvino.InferRequest", inputs: Sequence[Tensor], first: int = 0) -> None:
    """Let a request read its inputs from number `first` on from these tensors, which must be contiguous."""
    import openvino

    for place, tensor in enumerate(inputs, first):
        request.set_input_tensor(place, openvino.Tensor(tensor.numpy(), shared_memory=True))
