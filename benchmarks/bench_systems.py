"""The published systems at their small sizes, torch eager and OpenVINO taking turns on one thread of the CPU.

Weights are random: time does not depend on them. Nothing is timed before its pictures are those of torch.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from benchmarks.errors import WrongAnswerError
from benchmarks.harness import Row, latency_row, take_turns, value_row, wall
from benchmarks.plan import Plan
from benchmarks.suite import Part
from models.audio import FRONT_ENDS
from models.davs import config as davs
from models.davs.networks import DavsNetworks
from models.davs.system import Davs
from models.engine import REFERENCE, choose_published
from models.engine import Plan as EnginePlan
from models.fctfg import config as fctfg
from models.fctfg.networks import FctfgNetworks
from models.fctfg.system import Fctfg
from models.pcavs import config as pcavs
from models.pcavs.networks import PcavsNetworks
from models.pcavs.system import Pcavs
from models.rig import vector
from models.system import FRAME_MS, AudioFeatures, ControlBatch
from models.tavce import config as tavce
from models.tavce.config import COEFFICIENTS
from models.tavce.networks import TavceNetworks
from models.tavce.system import Tavce

NAMES: Final = ("davs", "pcavs", "fctfg", "tavce")
N = TypeVar("N", bound=nn.Module)

MOST_APART: Final = 1e-3
"""What OpenVINO's frames, -1 to 1, may differ from torch's."""


def untrained(name: str, plan: EnginePlan) -> Any:
    """A published system at its small size with weights from a fixed seed, and with noise that shows."""
    torch.manual_seed(0)
    match name:
        case "davs":
            return Davs(_noisy(DavsNetworks(davs.SMALL)), plan)
        case "pcavs":
            return Pcavs(_noisy(PcavsNetworks(pcavs.SMALL)), plan=plan)
        case "fctfg":
            return Fctfg(_noisy(FctfgNetworks(fctfg.SMALL)), plan=plan)
        case _:
            coefficients = torch.linspace(-1, 1, COEFFICIENTS)[None]
            return Tavce(_noisy(TavceNetworks(tavce.SMALL)), lambda face: coefficients, plan)


def _noisy(networks: N) -> N:
    for name, weight in networks.named_parameters():
        if name.endswith("noise.weight"):
            nn.init.constant_(weight, 0.1)
    return networks


def parts(plan: Plan) -> list[Part]:
    """A part for each system."""
    return [Part(name, partial(_measured, name, plan.n)) for name in NAMES]


@torch.no_grad()
def _measured(name: str, n: int) -> list[Row]:
    torch.set_num_threads(1)  # as the server's model worker does
    fast = choose_published()
    engines: dict[str, EnginePlan] = {"eager": REFERENCE, fast.backend: fast}  # torch alone where there is nothing else
    runs = {backend: _stream(name, engine) for backend, engine in engines.items()}
    wanted = runs["eager"]()
    for backend, run in runs.items():
        apart = float((run() - wanted).abs().max())
        if apart > MOST_APART:
            raise WrongAnswerError(f"{name} by {backend}", apart, MOST_APART)
    taken = take_turns({backend: wall(run) for backend, run in runs.items()}, n)
    rows = [
        latency_row("systems", f"{name} 128 px, {backend}", times, FRAME_MS if backend == fast.backend else None)
        for backend, times in taken.items()
    ]
    if "openvino" in taken:
        gain = taken["eager"].p50_ms / taken["openvino"].p50_ms
        rows.append(value_row("systems", f"{name} 128 px, eager / openvino", "x", gain))
    return rows


def _stream(name: str, plan: EnginePlan) -> Callable[[], Tensor]:
    """What draws the next frame of one stream, [1, 3, S, S]."""
    system = untrained(name, plan)
    window = FRONT_ENDS[system.front_end]()
    random = torch.Generator().manual_seed(1)
    face = torch.rand(1, 3, system.frame_px, system.frame_px, generator=random)
    heard = torch.randn(1, window.frame_rows, window.bands, generator=random)
    features = AudioFeatures(heard, torch.tensor([float(system.lookahead_ms[0])]))
    controls = ControlBatch(vector({})[None], torch.ones(1))
    return partial(system.step, [system.bind(face)], features, controls, system.init_state(1))
