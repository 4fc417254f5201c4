"""Processes that train together, which `torchrun` starts: each takes batches of its own, gradients are averaged.

As StyleGAN's trainers do it: `DistributedDataParallel` wants one forward pass of all parameters, and where critic and
generator take turns there is none.
"""

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn


@contextmanager
def processes() -> Generator[None]:
    """Meet the other processes if `torchrun` has started this one."""
    parallel = "WORLD_SIZE" in os.environ
    if parallel:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        if parallel:
            dist.destroy_process_group()


def place() -> tuple[int, int]:
    """The number of this process and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def device() -> torch.device:
    """Where this process trains: on a GPU of its own where there are some."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def share_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over the processes, in one message; all must ask for the same parameters."""
    _, world = place()
    if world == 1:
        return
    wanted = list(parameters)
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in wanted])
    dist.all_reduce(flat)
    for parameter, part in zip(wanted, (flat / world).split([p.numel() for p in wanted]), strict=True):
        parameter.grad = part.view_as(parameter).clone()


def agreed(numbers: Tensor) -> Tensor:
    """The first process's numbers, on the CPU: it decides for all."""
    if place()[1] == 1:
        return numbers
    numbers = numbers.to(device())
    dist.broadcast(numbers, 0)
    return numbers.cpu()


def moved(batch: Any, target: torch.device) -> Any:
    """A batch on a device: tensors in dataclasses and tuples; what is no tensor stays as it is."""
    if isinstance(batch, Tensor):
        return batch.to(target)
    if isinstance(batch, tuple):
        return tuple(moved(part, target) for part in cast("tuple[Any, ...]", batch))
    if is_dataclass(batch) and not isinstance(batch, type):
        return type(batch)(**{field.name: moved(getattr(batch, field.name), target) for field in fields(batch)})
    return batch
