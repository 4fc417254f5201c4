"""Train the matte net: `python -m models.training.train_matte --data DIR --work DIR --out FILE`.

The first run cuts the frames that enrolment would see out of all portraits; `models.training.label_mattes` says where
the person is in them; the second run learns from both.
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from models.training.corpus import Corpus, fitted
from models.training.label_mattes import FRAMES, MATTES
from models.training.landmark_crops import expose
from models.training.one_cycle import one_cycle
from models.visavis.fit import crop, crop_box
from models.visavis.ict import Rig
from models.visavis.matte import MATTE_PX, MatteNet
from models.visavis.system import with_margin

logger = logging.getLogger(__name__)

_SCALE = 0.15
_SHIFT = 0.1
"""How much larger or smaller, and how far off, an example may be: logarithm of the size, half sides."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything the trainer can be told."""

    data: Path
    work: Path
    out: Path
    steps: int = 1500
    batch: int = 32
    threads: int = 1
    peak_rate: float = 3e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.data.is_dir():
            raise ValueError(f"--data must be the corpus folder, got {self.data}")
        if self.steps < 1 or self.threads < 1 or self.batch < 2:
            raise ValueError("--steps and --threads must be at least 1, --batch at least 2")


@dataclass(frozen=True)
class Mattes:
    """Frames and where the person is in them.

    Attributes:
        frames: RGB, [N, 3, MATTE_PX, MATTE_PX], uint8.
        mattes: [N, 1, MATTE_PX, MATTE_PX], uint8, 255 on the person.
    """

    frames: Tensor
    mattes: Tensor


def cut(data: Path, work: Path) -> None:
    """Write every sharp portrait's frame with its margin, and whether the person is held out."""
    corpus, rig = Corpus(data), Rig.load()
    portraits = [portrait for portrait in corpus.portraits if portrait.sharp]
    frames = np.empty((len(portraits), MATTE_PX, MATTE_PX, 3), np.uint8)
    for i, (portrait, shape, _) in enumerate(tqdm(fitted(rig, portraits), total=len(portraits), desc="cut frames")):
        frames[i] = crop(corpus.photo(portrait), with_margin(crop_box(shape)), MATTE_PX)
    work.mkdir(parents=True, exist_ok=True)
    np.savez(work / FRAMES, frames=frames, held_out=np.array([portrait.held_out for portrait in portraits]))


def load(work: Path) -> tuple[Mattes, Mattes]:
    """What to learn from, and what was kept from training."""
    with np.load(work / FRAMES) as file:
        frames, held_out = file["frames"], file["held_out"]
    mattes = np.load(work / MATTES)

    def some(rows: np.ndarray) -> Mattes:
        return Mattes(torch.from_numpy(frames[rows]).permute(0, 3, 1, 2), torch.from_numpy(mattes[rows])[:, None])

    return some(~held_out), some(held_out)


def examples(mattes: Mattes, rows: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Frames [B, 3, MATTE_PX, MATTE_PX], -1 to 1, and mattes [B, 1, ...], 0 to 1: mirrored, moved, in other light."""
    count = len(rows)
    scale = ((torch.rand(count, generator=rng) * 2 - 1) * _SCALE).exp()
    flip = torch.where(torch.rand(count, generator=rng) < 0.5, -1.0, 1.0)
    shift = (torch.rand(count, 2, generator=rng) * 2 - 1) * _SHIFT
    zero = torch.zeros(count)
    move = torch.stack(
        [torch.stack([scale * flip, zero, shift[:, 0]], 1), torch.stack([zero, scale, shift[:, 1]], 1)], 1
    )
    both = torch.cat([mattes.frames[rows], mattes.mattes[rows]], 1).float() / 255
    grid = F.affine_grid(move, list(both.shape), align_corners=False)
    moved = F.grid_sample(both, grid, padding_mode="border", align_corners=False)
    return expose(moved[:, :3], rng).clamp(0, 1) * 2 - 1, moved[:, 3:]


def fit(config: TrainConfig, mattes: Mattes) -> MatteNet:
    """Train a net; answers its running average."""
    rng = torch.Generator().manual_seed(config.seed)
    net = MatteNet().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - the stub lacks it

    def batch_loss() -> Tensor:
        rows = torch.randint(len(mattes.frames), (config.batch,), generator=rng)
        frames, wanted = examples(mattes, rows, rng)
        return F.binary_cross_entropy_with_logits(net(frames.contiguous(memory_format=torch.channels_last)), wanted)

    return one_cycle(net, batch_loss, config.steps, config.peak_rate, "matte")


@torch.no_grad()
def score(net: MatteNet, mattes: Mattes) -> dict[str, float]:
    """Mean difference from the labels, and intersection over union of what is more than half the person."""
    off, both, either = 0.0, 0.0, 0.0
    for frames, labels in zip(mattes.frames.split(64), mattes.mattes.split(64), strict=True):
        found, wanted = net(frames.float() / 127.5 - 1).sigmoid(), labels.float() / 255
        off += float((found - wanted).abs().sum())
        both += float(((found > 0.5) & (wanted > 0.5)).sum())
        either += float(((found > 0.5) | (wanted > 0.5)).sum())
    return {"difference": round(off / mattes.mattes.numel(), 4), "overlap": round(both / max(either, 1.0), 4)}


def train(config: TrainConfig) -> str:
    """Cut frames, or, where they are labelled, train and write the weights (fp16); returns what to tell."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    if not (config.work / FRAMES).exists():
        cut(config.data, config.work)
    if not (config.work / MATTES).exists():
        return f"frames cut; next: python -m models.training.label_mattes --work {config.work}, then this again"
    known, unseen = load(config.work)
    logger.info("%d frames to learn from, %d held out", len(known.frames), len(unseen.frames))
    net = fit(config, known)
    half = {n: (t.half() if t.is_floating_point() else t).contiguous() for n, t in net.state_dict().items()}
    save_file(half, config.out)
    return ", ".join(f"{name} {value}" for name, value in score(net, unseen).items())


def parse(argv: Sequence[str] | None) -> TrainConfig:
    """Command line to config; exits with 2 on wrong usage."""
    parser = argparse.ArgumentParser(description="Train the net that tells the person from the background.")
    parser.add_argument("--data", type=Path, required=True, help="corpus folder")
    parser.add_argument("--work", type=Path, required=True, help="folder for frames and mattes")
    parser.add_argument("--out", type=Path, required=True, help="weights to write")
    parser.add_argument("--steps", type=int, default=TrainConfig.steps, help="batches in all (default %(default)s)")
    parser.add_argument("--threads", type=int, default=TrainConfig.threads, help="CPU threads (default %(default)s)")
    args = parser.parse_args(argv)
    try:
        return TrainConfig(**vars(args))
    except ValueError as error:
        parser.error(str(error))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logger.info("%s", train(parse(argv)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
