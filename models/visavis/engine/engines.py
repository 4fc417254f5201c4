"""From a plan to engines that run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from models.engine import Plan
from models.rig import CONTROLS
from models.visavis.drawing import Drawing
from models.visavis.engine.cudagraph import BATCHES, CudaGraph, record_cuda
from models.visavis.engine.eager import Eager, compiled
from models.visavis.engine.rows import Listen, Row, Run
from models.visavis.speech import SpeechNet, SpeechStep

_MODELS: Final = Path(__file__).parents[2]
_SOURCES: Final = (
    _MODELS / "visavis",
    _MODELS / "rig.py",
    _MODELS / "visavis" / "weights" / "rig.safetensors",  # ends up in the exports as constants
    *(_MODELS.parent / "kernels" / name for name in ("splat", "flow_warp", "bilinear.py")),
)
FEWEST: Final = 2 * BATCHES[-1]
"""Identities that are kept: at least those of two whole batches."""
MOST: Final = 1024
_COMPILED: Final = (1, 2)  # one stream is compiled by itself, and two or more once for all


@dataclass(frozen=True)
class Engines:
    """What draws and what listens.

    Attributes:
        draw: One for each drawing.
        listen: Always on the CPU: what is heard decides there what need be drawn at all, and the net is very small.
        identities: How many are kept where they are drawn.
    """

    draw: list[Run]
    listen: Listen
    identities: int


def start(
    plan: Plan, name: str, drawings: Sequence[Drawing], row: Row, speech: SpeechNet, sound: tuple[torch.Tensor, ...]
) -> Engines:
    """Make drawings ready to run.

    Args:
        plan: How.
        name: Of kept exports; differs for systems that differ in more than their weights.
        drawings: In eval mode, on the plan's device, the painter in the plan's type but for OpenVINO, which converts.
        row: Any identity, for the shapes.
        speech: On the CPU.
        sound: Any arguments of `SpeechNet.advance`, one row.
    """
    if plan.backend == "openvino":
        from models.engine.openvino_cpu import Compiler, OpenVinoSteps
        from models.visavis.engine.openvino_cpu import OpenVino

        compiler = Compiler(name, _SOURCES)
        listen = OpenVinoSteps(compiler, "speech", SpeechStep(speech), sound)
        return Engines([OpenVino(compiler, drawing, row, plan.precision) for drawing in drawings], listen, FEWEST)
    room = _room(plan.device, row)
    return Engines([_torch(plan, drawing, row, room) for drawing in drawings], speech.advance, room)


def _room(device: torch.device, row: Row) -> int:
    """How many identities a device keeps: on a GPU as many as an eighth of its free memory holds."""
    if device.type != "cuda":
        return FEWEST
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return min(MOST, max(FEWEST, free_bytes // 8 // sum(t.nbytes for t in row)))


def _torch(plan: Plan, drawing: Drawing, row: Row, room: int) -> Run:
    eager = Eager(drawing, plan.device, room)
    if plan.backend == "eager":
        return eager
    _warm(eager, row, (1,))  # constants find their way to the device, which a compiler would put into every frame
    if plan.backend == "compile":
        return _warm(Eager(compiled(drawing), plan.device, room), row, _COMPILED)
    if plan.backend == "cudagraph":
        return _warm(CudaGraph(compiled(drawing), plan.device, row, record_cuda, room), row, BATCHES)
    from models.visavis.engine.tensorrt import TensorRtDrawing

    controls, faces = torch.zeros(1, len(CONTROLS), device=plan.device), [t.to(plan.device) for t in row]
    with torch.no_grad():
        return _warm(Eager(TensorRtDrawing(drawing, controls, faces), plan.device, room), row, _COMPILED)


def _warm(run: Run, row: Row, batches: Sequence[int]) -> Run:
    """Draw once at each size, so that no caller waits for a compiler."""
    for batch in batches:
        run(torch.zeros(batch, len(CONTROLS)), [row] * batch)
    return run
