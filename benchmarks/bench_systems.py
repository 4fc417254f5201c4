"""The published systems on one thread of the CPU, contestants taking turns.

At their small sizes torch and OpenVINO; at their published sizes the Systems and the frames as published, in torch.
Weights are random: time does not depend on them. Nothing is timed before its pictures are those of the other.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from benchmarks import published_forms
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
_COEFFICIENTS: Final = torch.linspace(-1, 1, COEFFICIENTS)[None]
Size = Literal["small", "published"]

FORMS: Final[dict[str, Callable[..., Callable[[], Tensor]]]] = {
    "davs": published_forms.davs,
    "pcavs": published_forms.pcavs,
    "fctfg": published_forms.fctfg,
    "tavce": published_forms.tavce,
}
MOST_APART: Final = 1e-3
"""What OpenVINO's frames, -1 to 1, may differ from torch's."""
MOST_REWRITTEN: Final = 1e-4
"""What our frames may differ from the published form's, in torch both."""
LEAST_GAIN: Final = {"davs": 1.3, "pcavs": 1.5}
_FEW: Final = 5  # frames of the published sizes: one takes seconds


def untrained(name: str, plan: EnginePlan) -> Any:
    """A published system at its small size with weights from a fixed seed, and with noise that shows."""
    return _system(name, _networks(name, "small"), plan)


def _networks(name: str, size: Size) -> Any:
    """Its networks, with weights from a fixed seed, and with noise that shows."""
    torch.manual_seed(0)
    config, networks = {
        "davs": (davs, DavsNetworks),
        "pcavs": (pcavs, PcavsNetworks),
        "fctfg": (fctfg, FctfgNetworks),
        "tavce": (tavce, TavceNetworks),
    }[name]
    made = networks(config.SMALL if size == "small" else config.PUBLISHED)
    for weight_name, weight in made.named_parameters():
        if weight_name.endswith("noise.weight"):
            nn.init.constant_(weight, 0.1)
    return made.eval()


def _system(name: str, networks: Any, plan: EnginePlan) -> Any:
    match name:
        case "davs":
            return Davs(networks, plan)
        case "pcavs":
            return Pcavs(networks, plan=plan)
        case "fctfg":
            return Fctfg(networks, plan=plan)
        case _:
            return Tavce(networks, lambda face: _COEFFICIENTS, plan)


def parts(plan: Plan) -> list[Part]:
    """Two parts for each system: at its small size, and at the published one against the published form."""
    small = [Part(name, partial(_measured, name, plan.n)) for name in NAMES]
    return small + [Part(f"published size of {name}", partial(_rewritten, name, min(plan.n, _FEW))) for name in NAMES]


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


@torch.no_grad()
def _rewritten(name: str, n: int) -> list[Row]:
    """`step` of the published size in torch against the published form of it, with the same weights, in turns."""
    torch.set_num_threads(1)
    networks, plain = _networks(name, "published"), _networks(name, "published")
    system = _system(name, networks, REFERENCE)
    face, heard = _seen_and_heard(system)
    given = (_COEFFICIENTS,) if name == "tavce" else ()
    runs = {
        "published form": FORMS[name](plain, face, heard, *given),
        "ours": _steps(system, face, heard),
    }
    apart = float((runs["ours"]() - runs["published form"]()).abs().max())
    if apart > MOST_REWRITTEN:
        raise WrongAnswerError(f"{name} as rewritten", apart, MOST_REWRITTEN)
    taken = take_turns({form: wall(run) for form, run in runs.items()}, n, warm_up=1)
    case = f"{name} {system.frame_px} px"
    gain = taken["published form"].p50_ms / taken["ours"].p50_ms
    return [
        *(latency_row("systems", f"{case}, {form}", times) for form, times in taken.items()),
        value_row("systems", f"{case}, published form / ours", "x", gain, LEAST_GAIN.get(name), bound="least"),
    ]


def _stream(name: str, plan: EnginePlan) -> Callable[[], Tensor]:
    """What draws the next frame of one stream of the small size, [1, 3, S, S]."""
    system = untrained(name, plan)
    return _steps(system, *_seen_and_heard(system))


def _seen_and_heard(system: Any) -> tuple[Tensor, Tensor]:
    """A face [1, 3, S, S], 0 to 1, and a window of the system's front end."""
    window = FRONT_ENDS[system.front_end]()
    random = torch.Generator().manual_seed(1)
    face = torch.rand(1, 3, system.frame_px, system.frame_px, generator=random)
    return face, torch.randn(1, window.frame_rows, window.bands, generator=random)


def _steps(system: Any, face: Tensor, heard: Tensor) -> Callable[[], Tensor]:
    features = AudioFeatures(heard, torch.tensor([float(system.lookahead_ms[0])]))
    controls = ControlBatch(vector({})[None], torch.ones(1))
    return partial(system.step, [system.bind(face)], features, controls, system.init_state(1))
