"""What goes into an engine and what comes out, and what is kept of the identities last seen."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from torch import Tensor

Row = tuple[Tensor, ...]
"""One identity's tensors in the order of `FACES`, each with a batch of one, on the CPU. The same object every time:
engines know an identity by it, and keep what they made of it."""

Run = Callable[[Tensor, Sequence[Row]], Tensor]
"""Draws identities under controls [B, 57], on the CPU: frames, [B, 3, S, S], float32, about -1 to 1, on the engine's
device, the caller's own."""

Listen = Callable[..., tuple[Tensor, ...]]
"""`SpeechNet.advance`, or what does the same."""

K = TypeVar("K")
T = TypeVar("T")


class Recent(Generic[K, T]):
    """What was made for each of the objects last asked for, which are known by identity, not by value."""

    def __init__(self, capacity: int, make: Callable[[K, T | None], T]) -> None:
        """`make` gets the object and what is given up for it: None until `capacity` is reached, then the oldest's."""
        self._capacity, self._make = capacity, make
        self._kept: OrderedDict[int, tuple[K, T]] = OrderedDict()

    def of(self, key: K) -> T:
        """What belongs to this object, made if it was not among the last `capacity`."""
        if id(key) in self._kept:
            self._kept.move_to_end(id(key))
            return self._kept[id(key)][1]
        full = len(self._kept) == self._capacity
        old = self._kept.popitem(last=False)[1][1] if full else None
        made = self._make(key, old)
        self._kept[id(key)] = (key, made)  # the key is held, so that no other object gets its id
        return made
