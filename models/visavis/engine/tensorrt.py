"""Torch-TensorRT for the painter, torch.compile for the geometry: its custom operators stay in torch."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.visavis.drawing import Drawing, blend, per_region
from models.visavis.engine.cudagraph import BATCHES, turns
from models.visavis.engine.eager import compiled


class TensorRtDrawing(nn.Module):
    """`Drawing` with one TensorRT engine for each region's painter, for batches up to the largest of `BATCHES`."""

    def __init__(self, drawing: Drawing, controls: Tensor, faces: Sequence[Tensor]) -> None:
        """`controls` and `faces` are any of one stream, on the device, for the shapes."""
        super().__init__()
        self._rigged = compiled(drawing.rigged)
        _, steer, *patches = drawing.rigged(controls, *faces)
        self._painters = [_engine(drawing.painter, (*maps, steer)) for _, *maps in per_region(patches)]

    def forward(self, controls: Tensor, *faces: Tensor) -> Tensor:
        """As `Drawing.forward`."""
        frames, steer, *patches = self._rigged(controls, *faces)
        for paint, (corner, *maps) in zip(self._painters, per_region(patches), strict=True):
            inputs = (*maps, steer)
            painted = [paint(*(tensor[turn] for tensor in inputs)) for turn in turns(len(steer))]
            frames = blend(frames, torch.cat(painted), corner)
        return frames


def _engine(painter: nn.Module, example: tuple[Tensor, ...]) -> Any:
    """The painter for one region's shapes; computed in the types that the module's weights have."""
    import torch_tensorrt  # pyright: ignore[reportMissingImports] - an optional extra

    def sizes(tensor: Tensor, batch: int) -> tuple[int, ...]:
        return batch, *tensor.shape[1:]

    inputs = [
        torch_tensorrt.Input(
            min_shape=sizes(tensor, 1),
            opt_shape=sizes(tensor, BATCHES[len(BATCHES) // 2]),
            max_shape=sizes(tensor, BATCHES[-1]),
            dtype=torch.float32,
        )
        for tensor in example
    ]
    return torch_tensorrt.compile(painter, ir="dynamo", arg_inputs=inputs, use_explicit_typing=True, min_block_size=1)
