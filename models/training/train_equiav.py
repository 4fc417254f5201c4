"""Train the talking-face EquiAV: `python -m models.training.train_equiav --clips FILE --out FILE`.

`--objective plain` trains the same encoders by contrast between the modalities alone, to compare with. Run it again to
go on where it stopped. Several processes: `torchrun --nproc-per-node N -m models.training.train_equiav ...`; each takes
batches of its own and competes with the others' windows.
"""

import argparse
import json
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from models.equiav.config import SMALL
from models.equiav.losses import inter_modal, total
from models.equiav.network import EquiAV, View
from models.errors import ResumeError
from models.training.equiav_batches import WINDOWS_PER_CLIP, clean_inputs, random_windows, views
from models.training.equiav_windows import Clips, load

logger = logging.getLogger(__name__)

Objective = Literal["equivariant", "plain"]
_RISE: Final = 0.1  # of all steps; 2 of 20 epochs as published, so are the rates at both ends
_FIRST_RATE, _LAST_RATE = 1 / 500, 1 / 100  # of the peak
_SAVE_EVERY: Final = 50


@dataclass(frozen=True)
class TrainConfig:
    """Everything the trainer can be told. `batch` counts windows, of one process."""

    clips: Path
    out: Path
    objective: Objective = "equivariant"
    steps: int = 1000
    batch: int = 64
    peak_rate: float = 1e-3
    amp: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.clips.is_file():
            raise ValueError(f"--clips must be what models.training.equiav_windows wrote, got {self.clips}")
        if self.steps < 1 or self.batch < 2 * WINDOWS_PER_CLIP or self.batch % WINDOWS_PER_CLIP:
            raise ValueError(
                f"--steps must be at least 1 and --batch a multiple of {WINDOWS_PER_CLIP} from {2 * WINDOWS_PER_CLIP} "
                f"on, got {self.steps} and {self.batch}"
            )

    @property
    def decisive(self) -> dict[str, Any]:
        """What a resumed run must share with the run it goes on with."""
        return {name: value for name, value in asdict(self).items() if name not in ("clips", "out")}


def rate(step: int, steps: int, peak: float) -> float:
    """Learning rate of a step: a linear rise, then a cosine fall (specification 4.4)."""
    rise = max(1, round(_RISE * steps))
    if step < rise:
        return peak * (_FIRST_RATE + (1 - _FIRST_RATE) * step / rise)
    fall = (step - rise) / max(1, steps - rise)
    return peak * (_LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * fall)))


class Equivariant(nn.Module):
    """The network with EquiAV's loss, as one module that `DistributedDataParallel` can wrap."""

    def __init__(self, net: EquiAV) -> None:
        super().__init__()
        self.net = net

    def inputs(self, sound: Tensor, mouths: Tensor, rng: torch.Generator) -> tuple[View, View]:
        """What `forward` takes, from `random_windows`."""
        return views(sound, mouths, rng)

    def forward(self, audio: View, video: View) -> dict[str, Tensor]:
        """The loss, "loss", and its parts."""
        return total(*self.net(audio, video))


class Plain(nn.Module):
    """The encoders with a contrastive loss between the modalities alone; what only EquiAV needs does not learn."""

    def __init__(self, net: EquiAV) -> None:
        super().__init__()
        self.net = net
        for branch in (net.audio, net.video):
            for part in (branch.aug_encoder, branch.cross_attn, branch.pred_intra, branch.norm_aug):
                part.requires_grad_(False)

    def inputs(self, sound: Tensor, mouths: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """What `forward` takes, from `random_windows`."""
        return clean_inputs(sound, mouths)

    def forward(self, audio: Tensor, video: Tensor) -> dict[str, Tensor]:
        """The loss, "loss"."""
        return {"loss": inter_modal(self.net.audio.embed_plain(audio), self.net.video.embed_plain(video))}


class Trainer:
    """The state of a training run: it can be saved after any step and taken up again."""

    def __init__(self, config: TrainConfig, net: EquiAV) -> None:
        self.config = config
        self.net = net
        self.objective = Equivariant(net) if config.objective == "equivariant" else Plain(net)
        parallel = dist.is_initialized()
        self.module = DistributedDataParallel(self.objective) if parallel else self.objective
        self.rank = dist.get_rank() if parallel else 0
        learned = [p for p in net.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(learned, betas=(0.9, 0.95), weight_decay=1e-5)
        self.done = 0

    @property
    def checkpoint(self) -> Path:
        """Where the run is kept between starts."""
        return self.config.out.with_suffix(".checkpoint.pt")

    def save(self) -> None:
        """Keep all that `resume` needs; only the first process writes."""
        if self.rank:
            return
        state = {
            "config": self.config.decisive,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
        }
        torch.save(state, self.checkpoint.with_suffix(".tmp"))
        self.checkpoint.with_suffix(".tmp").replace(self.checkpoint)

    def resume(self) -> None:
        """Take up the run that `save` kept, if there is one.

        Raises:
            ResumeError: If it had other settings. Nothing is changed then.
        """
        if not self.checkpoint.exists():
            return
        state: dict[str, Any] = torch.load(self.checkpoint, weights_only=True)
        mine = self.config.decisive
        differing = [name for name in mine if state["config"].get(name) != mine[name]]
        if differing:
            raise ResumeError(self.checkpoint, differing)
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done = state["done"]

    def step(self, clips: Clips) -> dict[str, float]:
        """Learn from one batch, which depends on seed, step and process alone; returns the losses."""
        rng = torch.Generator().manual_seed((self.config.seed * 1_000_003 + self.done) * 4096 + self.rank)
        batch = self.objective.inputs(*random_windows(clips, self.config.batch, rng), rng)
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.done, self.config.steps, self.config.peak_rate)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.amp):
            losses: dict[str, Tensor] = self.module(*batch)
        self.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.done += 1
        return {name: float(value.detach()) for name, value in losses.items()}

    def export(self) -> None:
        """Write the weights, fp16, with the objective beside them."""
        half = {name: tensor.half().contiguous() for name, tensor in self.net.state_dict().items()}
        save_file(half, self.config.out, {"objective": self.config.objective})


def train(config: TrainConfig) -> None:
    """Train to the last step; the first process writes checkpoint, weights and a line of losses for every step."""
    torch.manual_seed(config.seed)
    clips = load(config.clips, held_out=False)
    if len(clips) < config.batch // WINDOWS_PER_CLIP:
        raise ValueError(f"--batch {config.batch} needs {config.batch // WINDOWS_PER_CLIP} clips, got {len(clips)}")
    trainer = Trainer(config, EquiAV(SMALL))
    trainer.resume()
    config.out.parent.mkdir(parents=True, exist_ok=True)
    shown = tqdm(total=config.steps, initial=trainer.done, unit="step", mininterval=5.0, disable=trainer.rank > 0)
    with shown as bar, config.out.with_suffix(".losses.jsonl").open("a") as curve:
        while trainer.done < config.steps:
            losses = trainer.step(clips)
            bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()}, refresh=False)
            bar.update()
            if trainer.rank == 0:
                curve.write(json.dumps({"step": trainer.done, **losses}) + "\n")
            if trainer.done % _SAVE_EVERY == 0 or trainer.done == config.steps:
                curve.flush()
                trainer.save()
    if trainer.rank == 0:
        trainer.export()


def parse(argv: Sequence[str] | None) -> TrainConfig:
    """Command line to config; exits with 2 on wrong usage."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="train_equiav"
    )
    parser.add_argument("--clips", type=Path, required=True, help="what models.training.equiav_windows wrote")
    parser.add_argument("--out", type=Path, required=True, help="weights to write; checkpoint and losses go beside it")
    parser.add_argument("--objective", choices=get_args(Objective), default=TrainConfig.objective)
    parser.add_argument("--steps", type=int, default=TrainConfig.steps, help="batches in all (default %(default)s)")
    parser.add_argument("--batch", type=int, default=TrainConfig.batch, help="windows a batch (default %(default)s)")
    parser.add_argument("--peak-rate", type=float, default=TrainConfig.peak_rate, help="default %(default)s")
    parser.add_argument("--amp", action="store_true", help="bfloat16 autocast")
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    try:
        return TrainConfig(**vars(parser.parse_args(argv)))
    except ValueError as error:
        parser.error(str(error))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = parse(argv)
    torch.set_num_threads(1)
    parallel = "WORLD_SIZE" in os.environ
    if parallel:
        dist.init_process_group("gloo")
    try:
        train(config)
    except ValueError as error:
        logger.error("%s", error)
        return 1
    finally:
        if parallel:
            dist.destroy_process_group()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
