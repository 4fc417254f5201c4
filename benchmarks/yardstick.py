"""The same work before and after every suite: if its time differs between two runs, the machine does, not the code."""

from typing import Final

import torch

from benchmarks.cuda_clock import launched
from benchmarks.harness import Device, Row, latency, latency_row

BENCH: Final = "machine"
SIDE: Final[dict[Device, int]] = {"cpu": 384, "cuda": 4096}
CALLS: Final = 20


class Yardstick:
    """Times a matrix product whose size never changes."""

    def __init__(self, device: Device) -> None:
        self._device: Device = device
        side = SIDE[device]
        factor = torch.ones(side, side, device=device)
        self._sample = launched(lambda: factor @ factor, device)
        self._times_ms: list[float] = []

    def take(self) -> None:
        """Some calls more; the first of them is not counted."""
        self._times_ms += self._sample(1 + CALLS)[1:]

    def row(self) -> Row:
        """All of them."""
        return latency_row(
            BENCH, f"matrix product of {SIDE[self._device]}", latency(self._times_ms), device=self._device
        )
