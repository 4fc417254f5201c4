"""The memories of many streams in one state, of which each batch takes the rows that it needs."""

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from models.system import StreamState, System

_FIRST_ROWS: Final = 4


class StreamRows:
    """A pool of streams: a row of it is one stream's memory. Not thread-safe.

    A system's state is a dataclass of tensors with a row per stream, and of other such states; whatever else it holds
    is shared by all rows.
    """

    def __init__(self, system: System) -> None:
        self._init_state = system.init_state
        self._size = _FIRST_ROWS
        self._all = system.init_state(_FIRST_ROWS)

    def reset(self, row: int) -> None:
        """Make a row the memory of a stream that has not begun."""
        self._grow(row + 1)
        self._all.reset(torch.arange(self._size) == row)

    def take(self, rows: Sequence[int]) -> StreamState:
        """The memory of those streams, in that order, as a batch. Each must have been `reset` once.

        A single one is a view: what a batch of one becomes need not be `put`, and is kept even if it fails.
        """
        if len(rows) == 1:
            return _mapped(lambda tensor: tensor[rows[0] : rows[0] + 1], self._all)
        return _mapped(lambda tensor: tensor.index_select(0, torch.tensor(rows, device=tensor.device)), self._all)

    def put(self, rows: Sequence[int], state: StreamState) -> None:
        """Keep what a batch that was taken has become."""
        if len(rows) > 1:
            _copy(rows, state, self._all)

    def _grow(self, wanted: int) -> None:
        if wanted <= self._size:
            return
        old, before = self._all, range(self._size)
        self._size = max(wanted, 2 * self._size)
        self._all = self._init_state(self._size)
        _copy(before, old, self._all)


def _mapped(change: Callable[[Tensor], Tensor], state: Any) -> Any:
    if isinstance(state, Tensor):
        return change(state)
    if not is_dataclass(state) or isinstance(state, type):
        return state
    return replace(state, **{field.name: _mapped(change, getattr(state, field.name)) for field in fields(state)})


def _copy(rows: Sequence[int], batch: Any, into: Any) -> None:
    if isinstance(into, Tensor):
        into.index_copy_(0, torch.tensor(rows, device=into.device), batch)
    elif is_dataclass(into):
        for field in fields(into):
            _copy(rows, getattr(batch, field.name), getattr(into, field.name))
