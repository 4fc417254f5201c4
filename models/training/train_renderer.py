"""Train the house renderer on rendered pairs: `python -m models.training.train_renderer --pairs DIR --out DIR`.

Supervised by the truth of the re-projection: L1 with weight on mouth and eyes, L1 on image gradients, and distances of
SqueezeNet features (Johnson et al., "Perceptual Losses for Real-Time Style Transfer", ECCV 2016, equation 2) where its
weights are given; in the second part of the run a critic of patches (`models.training.critic`) is heard as well. The
learning rate falls with the share of `--minutes` that has gone by; a run that was cut off goes on from its last
checkpoint. `--size base --start FILE` begins with the weights of the small renderer. `torchrun` starts several
processes of it, see `models.training.processes`: each draws batches of its own, the first one writes.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from models.training.critic import Critic
from models.training.features import SqueezeFeatures
from models.training.pairs_dataset import PairBatch, PairSet
from models.training.processes import agreed, device, moved, place, processes, share_gradients
from models.visavis.fit import FRAME_PX
from models.visavis.geometry import PATCH_PX, Geometry, Patch, Region
from models.visavis.ict import Rig, person
from models.visavis.own_mouth import covered, view
from models.visavis.rectangles import cut
from models.visavis.renderer import (
    COARSE_MAPS,
    DETAIL,
    FEATURES_FINE,
    FINE_MAPS,
    MARGIN_PX,
    PHOTO_PX,
    IdentityEncoder,
    PatchNet,
    Size,
    condition,
    inner,
)
from models.visavis.sampling import finer

CHECKPOINT_EVERY_S = 480.0
EMA = 0.998
_JOIN_OTHERS = COARSE_MAPS + FEATURES_FINE  # channels of the first layer that hold no pixels


@dataclass(frozen=True)
class TrainConfig:
    """What `train_renderer` can be told."""

    pairs: Path
    out: Path
    minutes: float = 60.0
    batch: int = 8
    rate: float = 1.5e-3
    seed: int = 0
    threads: int = 2
    size: Size = "small"
    start: Path | None = None
    squeezenet: Path | None = None
    feature_weight: float = 0.1
    critic_weight: float = 0.05
    critic_from: float = 0.5


class Renderer(nn.Module):
    """Both networks under one roof, so that one optimiser and one file hold them."""

    def __init__(self, detail: int = 1) -> None:
        super().__init__()
        self.encoder, self.net = IdentityEncoder(detail), PatchNet(detail)

    def forward(self, example: "Example") -> dict[Region, Tensor]:
        """Painted patches, [B, 3, d h, d w] each, h and w as in `PATCH_PX`."""
        fine, coarse = self.encoder(inner(torch.cat([example.photo, example.mouth], 1)))
        return {
            region: self.net(patch.fine, patch.coarse, fine, coarse, patch.at, example.steer)
            for region, patch in example.patches.items()
        }


@dataclass(frozen=True)
class Example:
    """A batch ready for the networks: everything that needs no gradient is worked out."""

    photo: Tensor
    mouth: Tensor
    steer: Tensor
    patches: dict[Region, Patch]
    truth: dict[Region, Tensor]  # [B, 3, d h, d w]


@torch.no_grad()
def prepare(geometry: Geometry, batch: PairBatch, random: np.random.Generator | None) -> Example:
    """The rig's answer for a batch, on the geometry's device.

    With `random`, colours vary and the fit is as unsure as it is in real life.
    """
    batch = moved(batch, geometry.rig.neutral.device)
    photo, truth, own = batch.photo, batch.truth, batch.own
    if random is not None:
        photo, truth = _recolour(photo, truth, random)
        spread = torch.full_like(own, 0.02)
        spread[:, -5:] = 0.7  # degrees
        own = own + spread * torch.from_numpy(random.standard_normal(own.shape)).to(own)
    binding = geometry.bind(batch.shape, own)
    base = person(geometry.rig, batch.shape)
    detail = photo.shape[-1] // FRAME_PX
    photo = F.pad(photo, [MARGIN_PX * detail] * 4, mode="replicate")  # the pairs have no margin
    fine, own_mouth = finer(covered(photo, binding.mouth)), view(finer(photo), binding.teeth)
    prior = geometry.predict(fine, binding, batch.shape, batch.controls, base)
    patches: dict[Region, Patch] = {
        region: geometry.patch(fine, own_mouth, binding, prior, region) for region in PATCH_PX
    }
    wanted: dict[Region, Tensor] = {
        region: cut(truth, patch.corner * detail, *patch.fine.shape[2:]) for region, patch in patches.items()
    }
    return Example(photo, binding.mouth, condition(batch.shape, own, batch.controls), patches, wanted)


def _recolour(photo: Tensor, truth: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The same random gain for each channel, lift and gamma for both pictures."""
    count = len(photo)
    gain = torch.from_numpy(random.uniform(0.75, 1.15, (count, 1, 1, 1)) * random.uniform(0.92, 1.08, (count, 3, 1, 1)))
    gamma = torch.from_numpy(random.uniform(0.75, 1.35, (count, 1, 1, 1)))
    gain, gamma = gain.to(photo.device), gamma.to(photo.device)

    def change(image: Tensor) -> Tensor:
        return ((image * 0.5 + 0.5).clamp(1e-4, 1.0) ** gamma * gain).clamp(0.0, 1.0).float() * 2.0 - 1.0

    return change(photo), change(truth)


def loss_of(
    painted: dict[Region, Tensor], example: Example, features: SqueezeFeatures | None, feature_weight: float
) -> Tensor:
    """The training loss, a scalar; pixels in and around mouth and eyes count 20 times as much as the rest.

    Elsewhere the rig's warp is nearly right already, and what it misses cannot be known from one photo.
    """
    total = torch.zeros(())
    for region, patch in example.patches.items():
        openings = patch.fine[:, 6:8].amax(1, keepdim=True)
        heed = 0.25 + 4.75 * F.max_pool2d((openings > -0.9).float(), 9, 1, 4)
        off = painted[region] - example.truth[region]
        total = total + (off.abs() * heed).mean()
        for axis in (2, 3):
            total = total + ((off.roll(1, axis) - off).abs() * heed).mean()
        if features is not None:
            total = total + feature_weight * features.distance(painted[region], example.truth[region])
    return total


@torch.no_grad()
def evaluate(model: Renderer, geometry: Geometry, held_out: PairSet, pairs: int = 96) -> dict[str, float]:
    """PSNR in dB on held-out persons over each patch: the painter, the rig's warp alone, and the photo as it is.

    The photo is the state given, another one the state wanted, the same pairs every time.
    """
    random = np.random.default_rng(1)
    errors: dict[str, list[Tensor]] = {}
    model.eval()
    for _ in range(pairs // 8):
        batch = held_out.draw(8, random, photo_share=1.0, same_share=0.0)
        example = prepare(geometry, batch, None)
        painted = model(example)
        for region, patch in example.patches.items():
            detail = batch.photo.shape[-1] // FRAME_PX
            photo = cut(inner(example.photo), patch.corner * detail, *patch.fine.shape[2:])
            for name, answer in (("net", painted[region]), ("warp", patch.fine[:, :3]), ("photo", photo)):
                off = ((answer - example.truth[region]) / 2).square().mean((1, 2, 3))
                errors.setdefault(f"{region}_{name}", []).append(off)
    model.train()
    return {name: round(float((-10 * torch.log10(torch.cat(e))).mean()), 2) for name, e in errors.items()}


@torch.no_grad()
def sheet(model: Renderer, geometry: Geometry, held_out: PairSet, path: Path, rows: int = 10) -> None:
    """A picture to look at: photo, warp alone, painted, truth; a held-out pair per row."""
    example = prepare(geometry, held_out.draw(rows, np.random.default_rng(2), photo_share=1.0, same_share=0.0), None)
    painted = model(example)
    columns: list[Tensor] = []
    for region, patch in example.patches.items():
        detail = example.photo.shape[-1] // PHOTO_PX
        photo = cut(inner(example.photo), patch.corner * detail, *patch.fine.shape[2:])
        columns += [photo, patch.fine[:, :3], painted[region], example.truth[region]]
    height = max(column.shape[2] for column in columns)
    even = [F.pad(column, (0, 0, 0, height - column.shape[2]), value=-1.0) for column in columns]
    strip = torch.cat([torch.cat(list(column), 1) for column in even], 2)  # [3, rows * H, all W]
    Image.fromarray(((strip.clamp(-1, 1) + 1) * 127.5).byte().permute(1, 2, 0).cpu().numpy()).save(path)


def train(config: TrainConfig) -> Renderer:
    """Run (or go on with) a training run; writes checkpoint.pt, log.jsonl, sheet.png and renderer.safetensors.

    Returns:
        The trained networks, not their average, which is what is written.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    detail, here, first = DETAIL[config.size], device(), place()[0] == 0
    geometry = Geometry(Rig.load(), detail).to(here)
    model, average = Renderer(detail), Renderer(detail)
    if config.start is not None:
        model.load_state_dict(enlarged(load_file(config.start), model))
    average.load_state_dict(model.state_dict())
    model.to(here)
    average.to(here)
    optimiser = torch.optim.AdamW(model.parameters(), config.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    features = SqueezeFeatures.load(config.squeezenet).to(here) if config.squeezenet else None
    critic = Critic(config.rate / 2).to(here)
    step, spent_s = _resume(config.out / "checkpoint.pt", model, average, optimiser, critic)
    pairs = PairSet(config.pairs, held_out=False, detail=detail)
    held_out = PairSet(config.pairs, held_out=True, detail=detail)
    if first:
        _log(config.out, {"persons": len(pairs), "held_out": len(held_out), "step": step})

    started_s, saved_s, total_s = time.monotonic() - spent_s, spent_s, config.minutes * 60
    running = 0.0
    with tqdm(total=round(total_s), initial=round(spent_s), unit="s", desc="renderer", disable=not first) as bar:
        for example in _examples(geometry, pairs, config, step):
            now_s = float(agreed(torch.tensor(time.monotonic() - started_s)))
            if now_s >= total_s:
                break
            for group in optimiser.param_groups:
                warm, left = min(1.0, (step + 1) / 200), 1.0 - now_s / total_s
                group["lr"] = config.rate * warm * max(0.02, left)
            painted = model(example)
            loss = loss_of(painted, example, features, config.feature_weight)
            if config.critic_weight > 0 and now_s >= config.critic_from * total_s:
                critic.learn(painted, example)
                loss = loss + config.critic_weight * critic.complaint(painted, example)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            share_gradients(model.parameters())
            nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
            optimiser.step()
            step += 1
            keep = min(EMA, step / (step + 10))
            with torch.no_grad():
                for old, new in zip(average.parameters(), model.parameters(), strict=True):
                    old.lerp_(new, 1.0 - keep)
            running += 0.02 * (float(loss) - running) if running else float(loss)
            bar.set_postfix(step=step, loss=f"{running:.4f}", refresh=False)
            bar.update(round(now_s) - bar.n)
            if first and now_s - saved_s > CHECKPOINT_EVERY_S:
                saved_s = now_s
                _save(config.out, model, average, optimiser, critic, step, now_s)
                scores = evaluate(average, geometry, held_out)
                sheet(average, geometry, held_out, config.out / "sheet.png")
                _log(config.out, {"step": step, "minutes": now_s / 60, "loss": running, "psnr_db": scores})
    if first:
        _save(config.out, model, average, optimiser, critic, step, min(total_s, time.monotonic() - started_s))
        _log(config.out, {"step": step, "loss": running, "psnr_db": evaluate(average, geometry, held_out)})
        sheet(average, geometry, held_out, config.out / "sheet.png")
    return model


def _examples(geometry: Geometry, pairs: PairSet, config: TrainConfig, step: int) -> Iterator[Example]:
    """Batches without end, worked out one ahead on a thread of their own."""
    random = np.random.default_rng([config.seed, step, place()[0]])

    def make() -> Example:
        return prepare(geometry, pairs.draw(config.batch, random), random)

    # one core for the rig's part: two teams of threads on the same cores wait for each other
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as thread:
        ahead = thread.submit(make)
        while True:
            ready, ahead = ahead.result(), thread.submit(make)
            yield ready


def enlarged(start: dict[str, Tensor], model: Renderer) -> dict[str, Tensor]:
    """Weights of the same or of a smaller size for `model`, which then answers the smaller one's answer, enlarged."""
    out = {name: tensor.float() for name, tensor in start.items()}
    small = math.isqrt(len(out["net.leave.bias"]) // 3)  # pixels along a side of a half-resolution cell
    grow = model.net.fold // small
    out["encoder.fine.0.0.weight"] = _spread(out["encoder.fine.0.0.weight"], 4, small // 2, grow) / grow**2
    maps, others = out["net.join1.0.weight"].split([FINE_MAPS * small**2, _JOIN_OTHERS], dim=1)
    out["net.join1.0.weight"] = torch.cat([_spread(maps, FINE_MAPS, small, grow) / grow**2, others], 1)
    for name in ("net.leave.weight", "net.leave.bias"):
        out[name] = _spread(out[name][None], 3, small, grow)[0]
    return out


def _spread(weight: Tensor, channels: int, fold: int, grow: int) -> Tensor:
    """Give each pixel of a cell, in channels [O, C fold fold, ...], to the grow x grow that take its place."""
    cells = weight.unflatten(1, (channels, fold, fold))
    return cells.repeat_interleave(grow, 2).repeat_interleave(grow, 3).flatten(1, 3)


def _resume(
    path: Path, model: Renderer, average: Renderer, optimiser: torch.optim.Optimizer, critic: Critic
) -> tuple[int, float]:
    if not path.exists():
        return 0, 0.0
    saved = torch.load(path, weights_only=True, map_location=device())
    model.load_state_dict(saved["model"])
    average.load_state_dict(saved["average"])
    optimiser.load_state_dict(saved["optimiser"])
    critic.load_state_dict(saved["critic"])
    return int(saved["step"]), float(saved["spent_s"])


def _save(
    out: Path,
    model: Renderer,
    average: Renderer,
    optimiser: torch.optim.Optimizer,
    critic: Critic,
    step: int,
    spent_s: float,
) -> None:
    parts = {"model": model, "average": average, "optimiser": optimiser, "critic": critic}
    state = {name: part.state_dict() for name, part in parts.items()}
    torch.save({**state, "step": step, "spent_s": spent_s}, out / "checkpoint.new")
    (out / "checkpoint.new").replace(out / "checkpoint.pt")
    save_file({k: v.half().cpu().contiguous() for k, v in average.state_dict().items()}, out / "renderer.safetensors")


def _log(out: Path, line: dict[str, object]) -> None:
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(prog="train_renderer", description=__doc__)
    parser.add_argument("--pairs", type=Path, required=True, help="folder that models.training.pairs wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log, sheet and weights")
    parser.add_argument("--minutes", type=float, default=TrainConfig.minutes, help="training time in all")
    parser.add_argument("--batch", type=int, default=TrainConfig.batch)
    parser.add_argument("--rate", type=float, default=TrainConfig.rate, help="first learning rate")
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    parser.add_argument("--threads", type=int, default=TrainConfig.threads, help="CPU threads")
    parser.add_argument("--size", choices=list(DETAIL), default=TrainConfig.size, help="which renderer (%(default)s)")
    parser.add_argument("--start", type=Path, help="weights to begin with, of the same size or of a smaller one")
    parser.add_argument("--critic-weight", type=float, default=TrainConfig.critic_weight, help="0 trains without it")
    parser.add_argument(
        "--critic-from",
        type=float,
        default=TrainConfig.critic_from,
        help="share of the time before it is heard",
    )
    parser.add_argument("--feature-weight", type=float, default=TrainConfig.feature_weight)
    parser.add_argument("--squeezenet", type=Path, help="SqueezeNet 1.1 weights (HDF5) for the feature loss")
    config = TrainConfig(**vars(parser.parse_args(argv)))
    with processes():
        train(config)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
