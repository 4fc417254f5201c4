"""Train a published system on clips: its stages in order, with averaged weights, curves, sample sheets and resumption.

Several processes: run under `torchrun`, see `models.training.processes`.
"""

import json
import logging
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch
from torch import Tensor, nn
from tqdm import tqdm

from models.errors import DamagedRunError, DivergedError, ResumeError
from models.training.curves import Curves
from models.training.processes import agreed, device, moved, place, share_gradients
from models.training.stages import Recipe, Stage, Turn
from models.weights import write_weights

logger = logging.getLogger(__name__)

SHEET_ROWS: Final = 4
_KEEP: Final = 0.999
_CHECKPOINT: Final = "checkpoint.pt"
_NORMS: Final = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_SETTLING: Final = 16
"""Batches that batch statistics are taken of at the end."""


@dataclass(frozen=True)
class RunConfig:
    """What a run is told.

    Attributes:
        out: Folder for checkpoint, curves, sheets and weights.
        minutes: Training time in all, shared by the stages; None where `steps` says how long.
        steps: Batches in all.
        batch: Clips in a batch, of each process.
        rate: Factor on all learning rates.
        amp: bfloat16 autocast.
        seed: Of weights and batches.
        save_every_s: Time from one checkpoint and sheet to the next.
        data: What the clips are known by; a resumed run must have the same.
        quiet: No progress bar.
    """

    out: Path
    minutes: float | None = None
    steps: int | None = None
    batch: int = 4
    rate: float = 1.0
    amp: bool = False
    seed: int = 0
    save_every_s: float = 120.0
    data: str = ""
    quiet: bool = False

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("want either --minutes or --steps")
        if (self.minutes or self.steps or 0) <= 0 or self.batch < 2 or self.rate <= 0:
            raise ValueError("--minutes, --steps and --rate must be above 0 and --batch at least 2")


class Trainer:
    """The state of a run: it can be saved after any step and taken up again.

    Attributes:
        done: Steps taken.
        spent_s: Time that they took.
        stage: Number of the stage.
    """

    def __init__(self, recipe: Recipe, config: RunConfig) -> None:
        self.recipe, self.config = recipe, config
        self.rank, self.world = place()
        self.device = device()
        recipe.trained.to(self.device)
        self.average = deepcopy(recipe.networks).requires_grad_(False).eval()
        self._learned = {p for p in recipe.trained.parameters() if p.requires_grad}
        self.done, self.spent_s, self.stage = 0, 0.0, 0
        self._enter(0)

    @property
    def now(self) -> Stage:
        """The stage that is being trained."""
        return self.recipe.stages[self.stage]

    @property
    def progress(self) -> float:
        """How much of the run is done, 0 to 1."""
        minutes, steps = self.config.minutes, self.config.steps
        return self.spent_s / (60 * minutes) if minutes is not None else self.done / (steps or 1)

    @property
    def settings(self) -> dict[str, Any]:
        """What a resumed run must share with the run it goes on with. Its length may change."""
        sizes = json.loads(json.dumps(asdict(self.recipe.config)))
        stages = [[stage.name, *(turn.name for turn in stage.turns)] for stage in self.recipe.stages]
        mine = {"system": self.recipe.system, "sizes": sizes, "stages": stages, "processes": self.world}
        return mine | {name: getattr(self.config, name) for name in ("batch", "rate", "amp", "seed", "data")}

    def advance(self) -> bool:
        """Go on to the stage that is due; whether anything is left to do. The first process decides for all."""
        due = torch.tensor([self.stage, int(self.progress < 1.0)])
        ends = torch.tensor([stage.share for stage in self.recipe.stages]).cumsum(0)
        due[0] = max(self.stage, int((self.progress >= ends[:-1] / ends[-1]).sum()))
        stage, going = agreed(due).tolist()
        if stage != self.stage:
            self._enter(stage)
        return bool(going)

    def prepare(self, step: int) -> Any:
        """The batch of a step, which depends on seed, step, stage and process alone."""
        random = torch.Generator().manual_seed(self._seed(step))
        return self.recipe.batch(self.now.name, self.config.batch, random)

    def step(self, batch: Any) -> dict[str, float]:
        """Take every turn of the stage once; returns the losses.

        Raises:
            DivergedError: If a loss is no number any more.
        """
        started_s = time.monotonic()
        torch.manual_seed(self._seed(self.done))
        batch, told = moved(batch, self.device), dict[str, float]()
        for turn, optimiser in zip(self.now.turns, self._optimisers, strict=True):
            told |= {f"{turn.name}/{name}": value for name, value in self._take(turn, optimiser, batch).items()}
        self.done += 1
        self._follow()
        self.spent_s += time.monotonic() - started_s
        return told

    @torch.no_grad()
    def settle(self) -> None:
        """Take the averaged networks' batch statistics anew, over some batches: until now they have the trained ones'.

        A norm whose statistics stood still at the end, or that drawing does not pass, keeps what it has.
        """
        pairs = zip(self.average.modules(), self.recipe.networks.modules(), strict=True)
        norms = [norm for norm, theirs in pairs if isinstance(norm, _NORMS) and theirs.training]
        before, momenta = deepcopy(norms), [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all batches
            norm.train()
        for number in range(_SETTLING):
            random = torch.Generator().manual_seed(self._seed(self.done + number))
            batch = self.recipe.batch(self.recipe.shown, self.config.batch, random)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.amp):
                self.recipe.sheet(self.average, moved(batch, self.device))
        for norm, old, momentum in zip(norms, before, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
            if not norm.num_batches_tracked:
                norm.load_state_dict(old.state_dict())

    def save(self) -> None:
        """Keep all that `resume` needs and the averaged weights; only the first process writes."""
        if self.rank:
            return
        state = {
            "settings": json.dumps(self.settings),
            "trained": self.recipe.trained.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            **{name: getattr(self, name) for name in ("stage", "done", "spent_s")},
        }
        path = self.config.out / _CHECKPOINT
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
        self.export()

    def export(self) -> None:
        """Write the averaged weights; matrices and kernels in half precision."""
        tensors = {n: t.half() if t.is_floating_point() and t.dim() > 1 else t for n, t in _plain(self.average).items()}
        path = self.config.out / f"{self.recipe.system}.safetensors"
        notes = {"trained": json.dumps({"steps": self.done, "minutes": round(self.spent_s / 60, 1)})}
        write_weights(path, self.recipe.system, tensors, asdict(self.recipe.config), notes)

    def resume(self) -> bool:
        """Take up the run that `save` kept; whether there was one.

        Raises:
            ResumeError: If it had other settings. Nothing is changed then.
            DamagedRunError: If what it kept cannot be read.
        """
        path = self.config.out / _CHECKPOINT
        if not path.exists():
            return False
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True, map_location=self.device)
        except (RuntimeError, EOFError, UnpicklingError) as error:
            raise DamagedRunError(path) from error
        theirs, mine = json.loads(state["settings"]), self.settings
        differing = [name for name in mine if theirs.get(name) != mine[name]]
        if state["trained"].keys() != self.recipe.trained.state_dict().keys():
            differing.append("judges")
        if differing:
            raise ResumeError(path, differing)
        self.recipe.trained.load_state_dict(state["trained"])
        self.average.load_state_dict(state["average"])
        self._enter(state["stage"])
        for optimiser, kept in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        self.done, self.spent_s = state["done"], state["spent_s"]
        return True

    @torch.no_grad()
    def sheet(self, batch: Any) -> Tensor:
        """A picture of what the averaged networks draw, [3, H, W], uint8."""
        cells = self.recipe.sheet(self.average, moved(batch, self.device)).cpu()
        strip = torch.cat([torch.cat(list(row), 2) for row in cells[:SHEET_ROWS]], 1)
        return ((strip.float().clamp(-1, 1) + 1) * 127.5).round().byte()

    def _take(self, turn: Turn, optimiser: torch.optim.Optimizer, batch: Any) -> dict[str, float]:
        """One turn: its losses by name, and their "sum"."""
        with self._only(optimiser):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.amp):
                losses = turn.losses(batch, self.done)
            losses["sum"] = torch.stack([value.float() for value in losses.values()]).sum()
            told = {name: float(value.detach()) for name, value in losses.items()}
            if not torch.isfinite(losses["sum"]):
                raise DivergedError(self.now.name, self.done, told)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(losses["sum"])
        share_gradients(p for group in optimiser.param_groups for p in group["params"])
        for group in optimiser.param_groups:
            group["lr"] = group["gain"] * self.config.rate * turn.adam.rate * turn.schedule(self._stage_progress())
        optimiser.step()
        return told

    def _seed(self, step: int) -> int:
        return (self.config.seed * 1_000_003 + step) * 4096 + self.rank

    def _stage_progress(self) -> float:
        shares = [stage.share for stage in self.recipe.stages]
        begun = sum(shares[: self.stage]) / sum(shares)
        return min(1.0, max(0.0, (self.progress - begun) * sum(shares) / self.now.share))

    def _enter(self, stage: int) -> None:
        """Begin a stage: new optimisers; what learns in it in training mode, all else in evaluation mode."""
        self.stage = stage
        self.recipe.trained.eval()
        for turn in self.now.turns:
            for part in turn.parts:
                part.train()
        if self.now.holds_statistics:
            for norm in self.recipe.networks.modules():
                if isinstance(norm, _NORMS):
                    norm.eval()
        self._optimisers = [turn.adam.make(turn.groups(self._learned)) for turn in self.now.turns]

    @contextmanager
    def _only(self, optimiser: torch.optim.Optimizer) -> Generator[None]:
        """Let only what the optimiser moves have gradients."""
        wanted = {parameter for group in optimiser.param_groups for parameter in group["params"]}
        for parameter in self._learned:
            parameter.requires_grad_(parameter in wanted)
        try:
            yield
        finally:
            for parameter in self._learned:
                parameter.requires_grad_()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averaged weights on; statistics of norms are taken as they are."""
        keep = min(_KEEP, self.done / (self.done + 10))
        mine = dict(self.recipe.networks.named_parameters())
        for name, slow in self.average.named_parameters():
            slow.lerp_(mine[name], 1.0 - keep)
        for slow, fast in zip(self.average.buffers(), self.recipe.networks.buffers(), strict=True):
            slow.copy_(fast)


def train(recipe: Recipe, config: RunConfig) -> Trainer:
    """Train (or go on) to the end of the run; the first process writes checkpoint, curves, sheets and weights.

    Raises:
        ResumeError: If `out` holds a run with other settings.
        DamagedRunError: If its checkpoint cannot be read.
        DivergedError: If a loss is no number any more; the last checkpoint stays.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(recipe, config)
    if trainer.resume():
        logger.info("going on after step %d, %.1f min", trainer.done, trainer.spent_s / 60)
    shown = recipe.batch(recipe.shown, SHEET_ROWS, torch.Generator().manual_seed(config.seed))
    curves = Curves(config.out) if trainer.rank == 0 else None
    try:
        _run(trainer, curves, shown)
    finally:
        if curves is not None:
            curves.close()
    return trainer


def _run(trainer: Trainer, curves: Curves | None, shown: Any) -> None:
    config, saved_s = trainer.config, trainer.spent_s

    def keep() -> None:
        trainer.save()
        if curves is not None:
            curves.sheet(trainer.now.name, trainer.done, trainer.sheet(shown))
            curves.flush()

    bar = tqdm(
        initial=trainer.done, total=config.steps, unit="step", mininterval=5.0, disable=curves is None or config.quiet
    )
    with bar, ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as ahead:
        waiting = None
        while trainer.advance():
            if waiting is None or waiting[0] != trainer.stage:
                waiting = trainer.stage, ahead.submit(trainer.prepare, trainer.done)
            batch = waiting[1].result()
            waiting = trainer.stage, ahead.submit(trainer.prepare, trainer.done + 1)
            losses = trainer.step(batch)
            bar.update()
            bar.set_postfix(
                stage=trainer.now.name, loss=f"{losses[f'{trainer.now.turns[0].name}/sum']:.3f}", refresh=False
            )
            if curves is not None:
                curves.losses(trainer.now.name, trainer.done, losses)
            if trainer.spent_s - saved_s > config.save_every_s:
                saved_s = trainer.spent_s
                keep()
        trainer.settle()
        keep()


def _plain(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu() for name, tensor in module.state_dict().items()}
