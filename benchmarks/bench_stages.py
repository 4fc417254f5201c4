"""Where a frame's time goes: every stage from sound to I420 by itself, and all sessions in one batch or one by one.

Networks have random weights: time does not depend on them. The chain runs by torch eager on the device; the engine's
backends are measured by `bench_engine`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor

from benchmarks.bench_kernels import RING_SAMPLES, house_basis
from benchmarks.cuda_clock import launched
from benchmarks.errors import WrongAnswerError
from benchmarks.harness import Row, latency_row, take_turns
from benchmarks.plan import Plan
from benchmarks.suite import Part
from kernels.i420 import rgb_to_i420
from kernels.log_mel import log_mel
from models.audio.log_mel import DECADES_PER_UNIT, FLOOR_POWER, HOP_SAMPLES, HOPS_PER_FRAME
from models.rig import CONTROLS, SPEECH, columns, vector
from models.visavis.drawing import Faces, blend, hang
from models.visavis.geometry import Geometry, Patch, Prior
from models.visavis.ground import lay
from models.visavis.ict import Rig, mean_shape
from models.visavis.matte import MATTE_PX
from models.visavis.renderer import DETAIL, PHOTO_PX, IdentityEncoder, PatchNet, Size, condition
from models.visavis.speech import SpeechNet

LOOKAHEAD_MS: Final = 40.0
MOST_LEVELS_APART: Final = 2.0
"""What a row of a batch may differ from the same session alone: a rounding may fall to the other side of a .5."""


@dataclass
class Chain:
    """The house model's stages with everything they need, `batch` sessions of one size on one device.

    Each stage leaves what the next one takes, so that any of them can be repeated by itself.
    """

    batch: int
    size: Size
    device: torch.device

    def __post_init__(self) -> None:
        torch.manual_seed(0)  # every chain has the same weights and the same photo
        detail = DETAIL[self.size]
        with torch.no_grad():
            geometry, encoder = Geometry(Rig.load(), detail), IdentityEncoder(detail).eval()
            net, speech = PatchNet(detail).eval(), SpeechNet().eval()
            torch.nn.init.normal_(net.leave.weight, std=0.01)
            photo = torch.rand(1, 3, PHOTO_PX * detail, PHOTO_PX * detail) * 2 - 1
            nobody = torch.zeros(1, 1, MATTE_PX, MATTE_PX)  # but for the face itself
            one = hang(geometry, encoder, photo, nobody, mean_shape())
        self.geometry, self.net, self.speech = geometry.to(self.device), net.to(self.device), speech.to(self.device)
        rows = {name: t.expand(self.batch, *t.shape[1:]).contiguous() for name, t in one.tensors().items()}
        self.faces = Faces.from_tensors({name: t.to(self.device) for name, t in rows.items()})
        self.ring = (0.1 * torch.randn(1, RING_SAMPLES)).repeat(self.batch, 1).to(self.device)
        turned = vector({"headYaw": 8.0, "jawOpen": 0.3}).expand(self.batch, len(CONTROLS))
        self.turned, self.spoken = turned.to(self.device), torch.tensor(columns(SPEECH), device=self.device)
        with self.device:
            self.basis, self.end = house_basis(), torch.arange(self.batch) * 997 + 50_000
            self.lookahead_ms = torch.full((self.batch,), LOOKAHEAD_MS)
        self.state = self.speech.init_state(self.batch)
        self.run()

    def run(self) -> Tensor:
        """The whole chain once: I420, [B, 1.5 side, side], uint8."""
        for stage in self.stages().values():
            stage()
        return self.i420

    def stages(self) -> dict[str, Callable[[], object]]:
        """In the order in which a frame passes them."""
        stages: dict[str, Callable[[], object]] = {
            "features": self.hear,
            "speech net": self.listen,
            "geometry": self.place,
            "painter": self.paint,
            "blend": self.join,
            "RGB to I420": self.convert,
        }
        return stages | ({"copy to the host": self.fetch} if self.device.type == "cuda" else {})

    def hear(self) -> None:
        self.heard = log_mel(
            self.ring,
            self.end,
            self.basis,
            hop_samples=HOP_SAMPLES,
            hops=HOPS_PER_FRAME,
            floor_power=FLOOR_POWER,
            decades_per_unit=DECADES_PER_UNIT,
        )

    @torch.no_grad()
    def listen(self) -> None:
        spoken, *_ = self.speech.advance(self.heard, self.lookahead_ms, self.state.heard, self.state.hidden)
        self.controls = self.turned.index_add(1, self.spoken, spoken)

    @torch.no_grad()
    def place(self) -> None:
        faces = self.faces
        self.prior: Prior = self.geometry.predict(faces.photo, faces.binding, faces.shape, self.controls, faces.base)
        self.laid = lay(self.prior, faces.matte, faces.ground)
        self.patch: Patch = self.geometry.patch(faces.photo, faces.own_mouth, faces.binding, self.prior, "mouth")

    @torch.no_grad()
    def paint(self) -> None:
        patch, faces = self.patch, self.faces
        steer = condition(faces.shape, faces.own, self.controls)
        self.painted = self.net(patch.fine, patch.coarse, faces.fine, faces.coarse, patch.at, steer)

    def join(self) -> None:
        self.frame = blend(self.laid, self.painted, self.patch.corner)

    def convert(self) -> None:
        self.i420 = rgb_to_i420(self.frame)

    def fetch(self) -> None:
        self.i420.cpu()


def parts(plan: Plan) -> list[Part]:
    """A part for each size of the house model and each batch."""
    sizes: tuple[Size, ...] = ("base", "small") if plan.side_px >= 512 else ("small",)
    return [
        Part(f"{size}, batch {batch}", partial(_measured, size, batch, plan))
        for batch in plan.batches
        for size in sizes
    ]


@torch.no_grad()
def _measured(size: Size, batch: int, plan: Plan) -> list[Row]:
    device = torch.device(plan.device)
    chain, alone = Chain(batch, size, device), Chain(1, size, device)
    _compare(chain, alone)
    name = f"visavis {chain.frame.shape[-1]} px, batch {batch}"
    taken = take_turns({stage: launched(call, plan.device) for stage, call in chain.stages().items()}, plan.n)
    stages = [latency_row("stages", f"{name}, {stage}", times, device=plan.device) for stage, times in taken.items()]
    return stages + _whole(chain, alone, name, plan)


def _whole(chain: Chain, alone: Chain, name: str, plan: Plan) -> list[Row]:
    """All sessions in one batch, to I420 on the host, against the same sessions one after the other."""

    def one_by_one() -> None:
        for _ in range(chain.batch):
            alone.run().cpu()

    calls: dict[str, Callable[[], object]] = {"one batch": lambda: chain.run().cpu()}
    if chain.batch > 1:
        calls["one by one"] = one_by_one
    taken = take_turns({form: launched(call, plan.device) for form, call in calls.items()}, plan.n)
    return [latency_row("frame", f"{name}, {form}", times, device=plan.device) for form, times in taken.items()]


def _compare(chain: Chain, alone: Chain) -> None:
    """The first session of the chain is the one that `alone` draws.

    Raises:
        WrongAnswerError: If the first row of the batch is another picture than the session alone.
    """
    apart = float((chain.i420[:1].int() - alone.i420.int()).abs().max())
    if not apart <= MOST_LEVELS_APART:
        raise WrongAnswerError(f"the house model, batch {chain.batch}", apart, MOST_LEVELS_APART)
