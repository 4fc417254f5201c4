"""Runs the drawing on a CPU: OpenVINO, or torch itself, which is the reference."""

import warnings
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from models.visavis.drawing import Drawing, Faces

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


class _Flat(nn.Module):
    """`Drawing` with tensors as arguments, as tracing wants it."""

    def __init__(self, drawing: Drawing, names: list[str]) -> None:
        super().__init__()
        self.drawing, self.names = drawing, names

    def forward(self, controls: Tensor, *tensors: Tensor) -> Tensor:
        return self.drawing(Faces.from_tensors(dict(zip(self.names, tensors, strict=True))), controls)


def _openvino(drawing: Drawing, example: Faces) -> Draw:
    import openvino  # most of a second to import: only who runs it pays

    tensors = example.tensors()
    controls = torch.zeros(1, example.own.shape[1])
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns about shapes that are constants here
        flat = _Flat(drawing, list(tensors))
        model = openvino.convert_model(flat, example_input=(controls, *tensors.values()))
    shapes = [list(t.shape) for t in (controls, *tensors.values())]
    model.reshape(dict(zip(model.inputs, shapes, strict=True)))
    request = openvino.Core().compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY"}).create_infer_request()

    def draw(faces: Faces, controls: Tensor) -> Tensor:
        rows = [
            request.infer([t[i : i + 1].numpy() for t in (controls, *faces.tensors().values())])[0].copy()
            for i in range(len(controls))
        ]
        return torch.cat([torch.from_numpy(row) for row in rows])

    return draw
