"""Runs the painter on a CPU: OpenVINO, or torch itself, which is the reference."""

import warnings
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from models.visavis.renderer import PatchNet, map_shapes

Backend = Literal["openvino", "eager"]
Painter = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""`PatchNet.forward`, whoever runs it."""


def painter(net: PatchNet, backend: Backend) -> Painter:
    """Make `net` ready to run without gradients.

    Args:
        net: In eval mode, on the CPU.
        backend: "openvino" compiles it for this processor, "eager" runs it as it stands.
    """
    return _openvino(net) if backend == "openvino" else torch.no_grad()(net)


def _openvino(net: PatchNet) -> Painter:
    import openvino  # most of a second to import: only who runs it pays

    example = tuple(torch.zeros(1, *shape) for shape in map_shapes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about shapes that are constants here
        model = openvino.convert_model(net, example_input=example)
    request = openvino.Core().compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY"}).create_infer_request()

    def paint(*inputs: Tensor) -> Tensor:
        result = request.infer([tensor.numpy() for tensor in inputs], share_inputs=True)
        return torch.from_numpy(result[0].copy())

    return paint
