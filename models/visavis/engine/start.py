"""From a plan to engines that run."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from models.rig import CONTROLS
from models.visavis.drawing import Drawing
from models.visavis.engine.choice import Plan
from models.visavis.engine.cudagraph import CudaGraph, record_cuda
from models.visavis.engine.eager import Eager, compiled
from models.visavis.engine.rows import Listen, Row, Run
from models.visavis.speech import SpeechNet, SpeechStep


@dataclass(frozen=True)
class Engines:
    """What draws and what listens.

    Attributes:
        draw: One for each drawing.
        listen: Always on the CPU: what is heard decides there what need be drawn at all, and the net is very small.
    """

    draw: list[Run]
    listen: Listen


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
        from models.visavis.engine.openvino_cpu import Compiler, OpenVino, OpenVinoSteps

        compiler = Compiler(name, plan.precision)
        listen = OpenVinoSteps(compiler, "speech", SpeechStep(speech), sound)
        return Engines([OpenVino(compiler, drawing, row) for drawing in drawings], listen)
    return Engines([_torch(plan, drawing, row) for drawing in drawings], speech.advance)


def _torch(plan: Plan, drawing: Drawing, row: Row) -> Run:
    controls = torch.zeros(1, len(CONTROLS))
    eager = Eager(drawing, plan.device)
    if plan.backend == "eager":
        return eager
    eager(controls, [row])  # constants find their way to the device, which a compiler would put into every frame
    if plan.backend == "compile":
        return Eager(compiled(drawing), plan.device)
    if plan.backend == "cudagraph":
        return CudaGraph(compiled(drawing), plan.device, row, record_cuda)
    from models.visavis.engine.tensorrt import TensorRtDrawing

    faces = tuple(tensor.to(plan.device) for tensor in row)
    with torch.no_grad():
        return Eager(TensorRtDrawing(drawing, controls.to(plan.device), faces), plan.device)
