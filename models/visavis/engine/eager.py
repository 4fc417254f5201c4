"""Torch itself, the reference, and torch.compile of the same module."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
import torch._dynamo.config as dynamo
from torch import Tensor, nn

from models.visavis.engine.rows import Recent, Row

_GRAPHS: Final = 64
"""Graphs of one module's code before torch gives up compiling; its own limit, 8, is too few for two sizes of system."""


class Eager:
    """Runs a module on a device; see `Run`."""

    def __init__(self, network: Callable[..., Tensor], device: torch.device, capacity: int) -> None:
        """`capacity` is how many identities stay on the device."""
        self._network, self._device = network, device
        self._there = Recent[Row, Row](capacity, lambda row, _: tuple(tensor.to(device) for tensor in row))
        self._seated: tuple[list[Row], Row] = [], ()

    @torch.no_grad()
    def __call__(self, controls: Tensor, rows: Sequence[Row]) -> Tensor:
        return self._network(controls.to(self._device), *self._stacked(rows))

    def _stacked(self, rows: Sequence[Row]) -> Row:
        """Identities as rows of a batch. The last batch is kept, since who sits in which row rarely changes."""
        seated, stacked = self._seated
        if len(seated) != len(rows) or any(a is not b for a, b in zip(seated, rows, strict=True)):
            there = [self._there.of(row) for row in rows]
            stacked = there[0] if len(there) == 1 else tuple(torch.cat(column) for column in zip(*there, strict=True))
            self._seated = list(rows), stacked
        return stacked


def compiled(network: nn.Module) -> Callable[..., Any]:
    """The module as one graph without breaks; compiled at the first call, and once more for all larger batches."""
    dynamo.recompile_limit = max(dynamo.recompile_limit, _GRAPHS)
    return torch.compile(network, fullgraph=True)
