"""The networks that a published system runs for each frame, made ready as a plan says."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from torch import Tensor, nn

from models.engine.choice import Plan

Network = Callable[..., tuple[Tensor, ...]]
"""Takes and returns tensors on the CPU, a row per stream."""
Part = tuple[nn.Module, tuple[Tensor, ...]]
"""A module that is a `Network`, in eval mode, on the CPU, and one row of each of its arguments."""

_MODELS: Final = Path(__file__).parents[1]


def ready(plan: Plan, system: str, hears: Part, draws: Part) -> tuple[Network, Network]:
    """Make a system's two networks ready to run.

    Args:
        plan: How: "eager" or "openvino".
        system: Its name, which is that of its folder.
        hears: From sound to what the system says with it; always computed in float32.
        draws: From that and an identity to a frame; computed in the plan's precision.
    """
    if plan.backend == "eager":
        return hears[0], draws[0]
    from models.engine.openvino_cpu import Compiler, OpenVinoSteps

    compiler = Compiler(system, (_MODELS / system, _MODELS / "blocks"))
    hear = OpenVinoSteps(compiler, "hears", *hears)
    return hear, OpenVinoSteps(compiler, "draws", *draws, plan.precision)
