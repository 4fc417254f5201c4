"""The engine: every backend and precision that works here, at both sizes and several batches, from features to I420.

Contestants of one size and batch take turns, so that whatever slows the machine slows all of them. A time counts until
the pixels lie on the host. Nothing is timed before its pictures are those of torch eager in float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from benchmarks.errors import NotHereError, WrongAnswerError
from benchmarks.harness import Row, latency_row, take_turns, value_row, wall
from benchmarks.plan import Plan
from benchmarks.suite import Part
from kernels.i420 import rgb_to_i420
from models.audio.log_mel import BANDS, HOPS_PER_FRAME
from models.engine import BACKENDS, PRECISIONS, Backend, Precision, choose
from models.errors import BackendError
from models.rig import vector
from models.system import AudioFeatures, ControlBatch, IdentityState
from models.visavis.ict import Shape, mean_shape
from models.visavis.renderer import PHOTO_PX, Size
from models.visavis.system import Visavis

CPU_BATCHES: Final = (1, 2, 4)
GPU_BATCHES: Final = (1, 8, 32)
LEAST_FASTER: Final = 1.3
"""What OpenVINO must gain over torch eager, channels last, on a CPU."""
MOST_APART: Final[dict[Precision, tuple[float, float]]] = {"fp32": (3.0, 0.05), "fp16": (3.0, 0.05), "bf16": (4.0, 0.1)}
"""Levels of 255 between a picture and torch eager's in float32: the worst value, and the mean."""
LOOKAHEAD_MS: Final = 40.0


@dataclass(frozen=True)
class Contestant:
    """A backend in a precision; `alone` draws the rows of a batch in calls of one."""

    backend: Backend
    precision: Precision
    alone: bool = False

    def __str__(self) -> str:
        return f"{self.backend} {self.precision}{' one by one' if self.alone else ''}"


def parts(plan: Plan) -> list[Part]:
    """A part for each size and batch, and one for each contestant that cannot work here, which says why."""
    batches = GPU_BATCHES if plan.device == "cuda" else CPU_BATCHES
    sizes: tuple[Size, ...] = ("base", "small") if plan.side_px >= 512 else ("small",)
    able, unable = _sorted_out(plan)
    measured = [
        Part(f"{size}, batch {batch}", lambda size=size, batch=batch: _measured(able, size, batch, plan))
        for batch in (batches if plan.compiled else batches[:2])
        for size in sizes
    ]
    return measured + [Part(str(who), lambda why=why: _left_out(why)) for who, why in unable.items()]


def _sorted_out(plan: Plan) -> tuple[list[Contestant], dict[Contestant, str]]:
    """Who can take part on this machine, and why the others cannot."""
    able: list[Contestant] = []
    unable: dict[Contestant, str] = {}
    for backend in BACKENDS:
        for precision in PRECISIONS:
            who = Contestant(backend, precision)
            try:
                choose(backend, precision)
            except BackendError as error:
                unable[who] = str(error)
                continue
            if (plan.compiled or backend in ("eager", "openvino")) and _worth_it(who, plan):
                able.append(who)
    return able, unable


def _worth_it(who: Contestant, plan: Plan) -> bool:
    """On a CPU torch computes float16 and bfloat16 in software: nobody would take that."""
    return plan.device == "cuda" or who.backend == "openvino" or who.precision == "fp32"


def _left_out(why: str) -> list[Row]:
    raise NotHereError(why)


@torch.no_grad()
def _measured(able: Sequence[Contestant], size: Size, batch: int, plan: Plan) -> list[Row]:
    torch.set_num_threads(1)  # as the server's model worker does: two pools of threads would fight for the cores
    runs = list(able)
    if batch > 1:
        runs += [Contestant(who.backend, who.precision, alone=True) for who in able if who.precision == "fp32"]
    scenes = {who: Scene(_system(who.backend, who.precision, size), batch, alone=who.alone) for who in runs}
    wanted = Scene(_system("eager", "fp32", size), batch).run()
    for who, scene in scenes.items():
        compare(f"{who} at batch {batch}", who.precision, scene.run(), wanted)
    name = f"visavis {scenes[runs[0]].system.frame_px} px, batch {batch}"
    taken = take_turns({str(who): wall(scene.run) for who, scene in scenes.items()}, plan.n)
    rows = [latency_row("engine", f"{name}, {who}", times, device=plan.device) for who, times in taken.items()]
    eager, fast = taken.get("eager fp32"), taken.get("openvino fp32")
    if plan.device == "cpu" and eager and fast:
        gain, least = eager.p50_ms / fast.p50_ms, LEAST_FASTER if batch == 1 else None
        rows.append(value_row("engine", f"{name}, eager / openvino", "x", gain, least, bound="least"))
    return rows


class Scene:
    """A system with `batch` streams of two identities that hear the same voice and turn their heads each their way."""

    def __init__(self, system: Visavis, batch: int, *, alone: bool = False) -> None:
        self.system = system
        faces = people(system)
        self._identities = [faces[row % len(faces)] for row in range(batch)]
        random = torch.Generator().manual_seed(0)
        self._heard = torch.rand(1, HOPS_PER_FRAME, BANDS, generator=random).expand(batch, -1, -1).contiguous()
        turns = [vector({"headYaw": 8.0 * (-1) ** row, "jawOpen": 0.3}) for row in range(batch)]
        self._controls = torch.stack(turns)
        self._steps = [slice(row, row + 1) for row in range(batch)] if alone else [slice(0, batch)]
        self._states = [system.init_state(len(self._identities[rows])) for rows in self._steps]

    def run(self) -> Tensor:
        """The next picture of each stream on the host, [B, 1.5 side, side], uint8."""
        return torch.cat([self._step(rows, at) for at, rows in enumerate(self._steps)])

    def _step(self, rows: slice, at: int) -> Tensor:
        ahead = torch.full((len(self._identities[rows]),), LOOKAHEAD_MS)
        features = AudioFeatures(self._heard[rows], ahead)
        controls = ControlBatch(self._controls[rows], torch.ones_like(ahead))
        return rgb_to_i420(self.system.step(self._identities[rows], features, controls, self._states[at])).cpu()


@cache
def _system(backend: Backend, precision: Precision, size: Size) -> Visavis:
    return Visavis.load(backend, size, precision=precision)


@cache
def people(system: Visavis) -> list[IdentityState]:
    """Two identities of nobody: mean faces under smooth random colours."""
    shape = Shape.from_tensors({name: tensor[0] for name, tensor in mean_shape().tensors().items()})
    side = PHOTO_PX * system.frame_px // 256
    random = torch.Generator().manual_seed(1)
    coarse = torch.rand(2, 3, 12, 12, generator=random) * 0.6 + 0.2
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)
    photos = (smooth.clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).numpy()
    return [system.bind(np.ascontiguousarray(photo), shape) for photo in photos]


def compare(who: str, precision: Precision, got: Tensor, wanted: Tensor) -> None:
    """Compare planar pixels with torch eager's in float32.

    Raises:
        WrongAnswerError: If they are another picture; see `MOST_APART`.
    """
    apart = (got.int() - wanted.int()).abs().float()
    worst, mean = MOST_APART[precision]
    if not apart.max() <= worst:
        raise WrongAnswerError(who, float(apart.max()), worst)
    if not apart.mean() <= mean:
        raise WrongAnswerError(f"{who}, on average,", float(apart.mean()), mean)
