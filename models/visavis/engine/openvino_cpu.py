"""OpenVINO on the CPU: the geometry as one model, the painter as one for each region, the blend in torch.

What passes from model to model lies in buffers that are handed over once, and each identity keeps a request that
remembers its tensors: see `models.engine.openvino_cpu`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from models.engine.choice import Precision
from models.engine.openvino_cpu import Compiler, bound_request, hand_over
from models.rig import CONTROLS
from models.visavis.drawing import Drawing, blend, per_region
from models.visavis.engine.rows import Recent, Row

if TYPE_CHECKING:
    import openvino

CAPACITY: Final = 16
"""Identities whose requests are kept."""


class OpenVino:
    """Draws the rows of a batch one after the other; see `Run`."""

    def __init__(self, compiler: Compiler, drawing: Drawing, row: Row, precision: Precision) -> None:
        """`row` is any identity, for the shapes; `drawing` is on the CPU, in float32; `precision` is the painter's."""
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
            model = compiler.compiled(f"paint-{region}", drawing.painter, inputs, precision)
            self._painters.append(bound_request(model, inputs, [painted]))
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
            return bound_request(self._rigged, (self._controls, *row), self._posed)
        hand_over(old, row, first=1)
        return old
