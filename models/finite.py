"""Nonsense from a network: numbers that are none."""

from torch import Tensor


def broken(rows: Tensor) -> Tensor:
    """Which rows of [B, ...] hold a value that is not finite, [B], bool, on the CPU."""
    return ~rows.flatten(1).sum(1).isfinite().cpu()
