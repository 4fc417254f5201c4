"""Times on the device alone, by CUDA events: no launch from Python is in them."""

from collections.abc import Callable
from typing import Final

import torch

from benchmarks.harness import Device, Sampler, wall

CALLS_PER_GRAPH: Final = 10
_BEFORE_CAPTURE: Final = 3


def sampler(call: Callable[[], object], device: Device) -> Sampler:
    """Times `call` on its device: on a GPU one call of ten in a CUDA graph, on a CPU by the wall clock."""
    return _captured(call) if device == "cuda" else wall(call)


def launched(call: Callable[[], object], device: Device) -> Sampler:
    """Times `call` with its launches from Python, as a program that captures no graph sees it."""
    if device == "cpu":
        return wall(call)

    def sample(n: int) -> list[float]:
        return [_between_events(call) for _ in range(n)]

    return sample


def _captured(call: Callable[[], object]) -> Sampler:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # allocations and compilations must be over before a capture
        for _ in range(_BEFORE_CAPTURE):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(CALLS_PER_GRAPH):
            call()

    def sample(n: int) -> list[float]:
        return [_between_events(graph.replay) / CALLS_PER_GRAPH for _ in range(n)]

    return sample


def _between_events(call: Callable[[], object]) -> float:
    """Milliseconds from the device's start of the work to its end."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)
