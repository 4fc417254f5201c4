"""CUDA graphs: everything from features to frame is recorded once for each batch size and replayed by one call.

What is recorded is the compiled module. It reads and writes fixed addresses: buffers that each frame's numbers are
copied into, and a pool of identities of which the graph itself gathers its rows. An identity may be swapped while
others are drawn: the pool's addresses stay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from models.rig import CONTROLS
from models.visavis.engine.rows import Recent, Row

BATCHES: Final = (1, 2, 4, 8, 16, 32)
"""Sizes that are recorded; a batch takes the next larger one, and more than the largest go in turns."""


def turns(count: int) -> list[slice]:
    """Which rows of a batch go together."""
    return [slice(at, at + BATCHES[-1]) for at in range(0, count, BATCHES[-1])]


Work = Callable[[], object]
Record = Callable[[Work], Work]
"""Takes work that reads and writes fixed tensors and returns what does it again."""


class IdentityPool:
    """Identities on a device at fixed addresses; the one that was used least recently makes room."""

    def __init__(self, like: Row, device: torch.device, capacity: int) -> None:
        self.tensors = tuple(t.new_zeros(capacity, *t.shape[1:], device=device) for t in like)
        self._used = 0
        self._slots = Recent[Row, int](capacity, self._move_in)

    def slots(self, rows: Sequence[Row]) -> Tensor:
        """Where these identities lie, [B], int64, on the CPU; those that were not there move in."""
        return torch.tensor([self._slots.of(row) for row in rows])

    def _move_in(self, row: Row, slot: int | None) -> int:
        if slot is None:
            slot, self._used = self._used, self._used + 1
        for pooled, tensor in zip(self.tensors, row, strict=True):
            pooled[slot].copy_(tensor[0])
        return slot


@dataclass(frozen=True)
class _Recorded:
    """One batch size: the tensors that its graph reads and writes, and the graph."""

    controls: Tensor
    slots: Tensor
    frames: Tensor
    replay: Work


class CudaGraph:
    """Replays a recorded module; see `Run`."""

    def __init__(
        self, network: Callable[..., Tensor], device: torch.device, row: Row, record: Record, capacity: int
    ) -> None:
        """`row` is any identity, for the shapes; `record` is `record_cuda` but in tests; the pool has room for
        `capacity` identities, at least a whole batch.
        """
        self._network, self._device, self._record = network, device, record
        self._pool = IdentityPool(row, device, capacity)
        self._sizes: dict[int, _Recorded] = {}

    @torch.no_grad()
    def __call__(self, controls: Tensor, rows: Sequence[Row]) -> Tensor:
        frames = [self._turn(controls[turn], rows[turn]) for turn in turns(len(rows))]
        return frames[0] if len(frames) == 1 else torch.cat(frames)

    def _turn(self, controls: Tensor, rows: Sequence[Row]) -> Tensor:
        count = len(rows)
        size = next(size for size in BATCHES if size >= count)
        if size not in self._sizes:
            self._sizes[size] = self._recorded(size)
        graph = self._sizes[size]
        graph.slots[:count].copy_(self._pool.slots(rows))
        graph.controls[:count].copy_(controls)
        graph.replay()
        return graph.frames[:count].clone()  # the next replay writes there

    def _recorded(self, size: int) -> _Recorded:
        controls = torch.zeros(size, len(CONTROLS), device=self._device)
        slots = torch.zeros(size, dtype=torch.int64, device=self._device)

        def draw() -> Tensor:
            return self._network(controls, *(tensor.index_select(0, slots) for tensor in self._pool.tensors))

        frames = torch.empty_like(draw())
        return _Recorded(controls, slots, frames, self._record(lambda: frames.copy_(draw())))


def record_cuda(work: Work) -> Work:
    """Record work on the current CUDA device; every compilation and every choice of an algorithm is over before."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay
