"""How much is measured: sizes and counts, which a small run cuts down."""

from dataclasses import dataclass

import torch

from benchmarks.harness import Device


@dataclass(frozen=True)
class Plan:
    """What the suites that need nothing but torch are told.

    Attributes:
        device: Where the work runs.
        n: Timed calls of each contestant.
        side_px: Side of the pictures that kernels work on; a multiple of 16.
        batches: Sessions in a batch.
        compiled: Whether torch.compile takes part: it takes ten seconds or more for each case.
        seconds: Length of the live server's run; None is its own choice.
    """

    device: Device
    n: int = 100
    side_px: int = 512
    batches: tuple[int, ...] = (1, 32)
    compiled: bool = True
    seconds: float | None = None

    @classmethod
    def usual(cls) -> "Plan":
        """For this machine: batches of 1 and 32 on a GPU, one session at a time on a CPU."""
        return cls("cuda") if torch.cuda.is_available() else cls("cpu", batches=(1,))

    @classmethod
    def quick(cls) -> "Plan":
        """Small enough for a test: it shows that everything runs, and its numbers mean nothing."""
        return cls("cuda" if torch.cuda.is_available() else "cpu", n=5, side_px=64, batches=(1, 2), compiled=False)

    @property
    def dtype(self) -> torch.dtype:
        """float16 on a GPU, float32 elsewhere."""
        return torch.float16 if self.device == "cuda" else torch.float32
