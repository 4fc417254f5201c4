"""Train the net that sees covered eyes and mouths: `python -m models.training.train_covers --data DIR --out FILE`."""

import argparse
import csv
import hashlib
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from models.training.draw_covers import cover
from models.training.landmark_crops import CropSet, Photo, expose, list_photos, load_crops, look
from models.training.one_cycle import one_cycle
from models.visavis.covers import MAX_BELIEF, PARTS, CoverNet, covered, shrink
from models.visavis.landmarks import load_net

logger = logging.getLogger(__name__)

SEEN: Final = Path(__file__).with_name("covered_portraits.csv")
"""Portraits of the corpus whose eyes or mouth a person found covered (1) or could not judge (?), by hash."""
REAL_SHARE: Final = 0.1


@dataclass(frozen=True)
class TrainConfig:
    """Everything the trainer can be told."""

    data: Path
    out: Path
    steps: int = 2000
    batch: int = 64
    drawings: int = 2
    threads: int = 1
    peak_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.data.is_dir():
            raise ValueError(f"--data must be the corpus folder, got {self.data}")
        if min(self.steps, self.drawings, self.threads) < 1 or self.batch < 8:
            raise ValueError("--steps, --drawings and --threads must be at least 1, --batch at least 8")


def photo_hash(photo: Photo) -> str:
    """An anonymous, stable name of a photo."""
    return hashlib.sha256(f"{photo.source}/{photo.name}".encode()).hexdigest()[:12]


def read_seen(path: Path = SEEN) -> dict[str, tuple[float, float]]:
    """What a person saw, by photo hash: for eyes and mouth 1 covered, 0 clear, nan undecided."""
    with path.open() as file:
        return {
            row["photo"]: (_label(row["eyes"]), _label(row["mouth"]))  # in the order of PARTS
            for row in csv.DictReader(file)
        }


def _label(word: str) -> float:
    return math.nan if word == "?" else float(word)


def measured(photo: Photo, seen: dict[str, tuple[float, float]]) -> bool:
    """Whether a photo is kept from training: held-out persons, and every other portrait with a real cover."""
    key = photo_hash(photo)
    return photo.held_out or (key in seen and int(key, 16) % 2 == 1)


@dataclass(frozen=True)
class Examples:
    """Faces as the net sees them, with labels.

    Attributes:
        looks: [N, 3, LOOK_PX, LOOK_PX], uint8.
        labels: [N, 2], float32: 1 covered, 0 clear, nan where nobody could say.
    """

    looks: Tensor
    labels: Tensor

    def joined(self, other: "Examples") -> "Examples":
        """The faces of both."""
        return Examples(torch.cat([self.looks, other.looks]), torch.cat([self.labels, other.labels]))


def plain(faces: CropSet, labels: Tensor, mirror: Tensor, rng: torch.Generator) -> Examples:
    """Every face as it is."""
    looks: list[Tensor] = []
    for rows in torch.arange(len(faces.crops)).split(64):
        crops, _ = look(faces, rows, mirror, rng, loose_share=0.0)
        looks.append((shrink(crops) * 255).byte())
    return Examples(torch.cat(looks), labels)


def drawn_over(
    faces: CropSet, labels: Tensor, mirror: Tensor, rng: torch.Generator, draw: np.random.Generator
) -> Examples:
    """Every face with something drawn over it."""
    looks: list[Tensor] = []
    verdicts: list[tuple[float, float]] = []
    for rows in tqdm(torch.arange(len(faces.crops)).split(64), desc="draw covers"):
        crops, points = look(faces, rows, mirror, rng, loose_share=0.0)
        pixels = crops.permute(0, 2, 3, 1).contiguous().numpy()
        others = pixels[draw.permutation(len(pixels))]
        pairs = [cover(draw, *three) for three in zip(pixels, points.numpy(), others, strict=True)]
        looks.append((shrink(torch.from_numpy(np.stack([p for p, _ in pairs])).permute(0, 3, 1, 2)) * 255).byte())
        verdicts += [verdict for _, verdict in pairs]
    added = torch.tensor(verdicts)
    # what the photo covers stays covered; what is undecided in either stays so unless the other covers it
    both = torch.where((labels == 1) | (added == 1), 1.0, labels + added)
    return Examples(torch.cat(looks), both)


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy where the label is known."""
    known = labels.isfinite()
    return F.binary_cross_entropy_with_logits(logits[known], labels[known])


def fit(config: TrainConfig, examples: Examples, real: Tensor) -> CoverNet:
    """Train a net; `real` are the rows with real covers, of which each batch holds `REAL_SHARE`."""
    rng = torch.Generator().manual_seed(config.seed)
    net = CoverNet().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - the stub lacks it
    of_real = round(config.batch * REAL_SHARE) if len(real) else 0

    def batch_loss() -> Tensor:
        rows = torch.randint(len(examples.looks), (config.batch,), generator=rng)
        if of_real:
            rows[:of_real] = real[torch.randint(len(real), (of_real,), generator=rng)]
        looks = expose(examples.looks[rows].float() / 255, rng).clamp(0, 1) * 2 - 1
        return loss_of(net(looks.contiguous(memory_format=torch.channels_last)), examples.labels[rows])

    return one_cycle(net, batch_loss, config.steps, config.peak_rate, "covers")


@torch.no_grad()
def report(net: CoverNet, faces: CropSet, labels: Tensor, mirror: Tensor) -> str:
    """Refusals of photos that were never trained on, in words."""
    rng = torch.Generator().manual_seed(1)
    beliefs = torch.cat(
        [
            covered(net, look(faces, rows, mirror, rng, loose_share=0.0)[0] * 2 - 1)
            for rows in torch.arange(len(faces.crops)).split(64)
        ]
    )
    clear = (labels == 0).all(1)
    words = [f"{int((beliefs[clear] > MAX_BELIEF).any(1).sum())} of {int(clear.sum())} clear faces refused"]
    for i, part in enumerate(PARTS):
        hidden = labels[:, i] == 1
        words.append(f"{int((beliefs[hidden, i] > MAX_BELIEF).sum())} of {int(hidden.sum())} with covered {part}")
    return ", ".join(words)


def train(config: TrainConfig) -> str:
    """Draw the examples, train, write the weights (fp16); returns the report."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    seen, landmarks = read_seen(), load_net()
    mean, mirror = landmarks.mean_shape.double().numpy(), landmarks.mirror
    photos = list_photos(config.data)

    def loaded(some: list[Photo], name: str) -> tuple[CropSet, Tensor]:
        labels = torch.tensor([seen.get(photo_hash(photo), (0.0, 0.0)) for photo in some])
        return load_crops(config.data, some, mean, config.out.with_suffix(name)), labels

    faces, labels = loaded([p for p in photos if not measured(p, seen)], ".crops.npz")
    unseen, truth = loaded([p for p in photos if measured(p, seen)], ".held-out.npz")
    rng, draw = torch.Generator().manual_seed(config.seed), np.random.default_rng(config.seed)
    examples = plain(faces, labels, mirror, rng)
    for _ in range(config.drawings):
        examples = examples.joined(drawn_over(faces, labels, mirror, rng, draw))
    real = (labels == 1).any(1).nonzero()[:, 0]
    logger.info("%d examples, %d real covers to learn from", len(examples.looks), len(real))
    net = fit(config, examples, real)
    half = {n: (t.half() if t.is_floating_point() else t).contiguous() for n, t in net.state_dict().items()}
    save_file(half, config.out)
    return report(net, unseen, truth, mirror)


def parse(argv: Sequence[str] | None) -> TrainConfig:
    """Command line to config; exits with 2 on wrong usage."""
    parser = argparse.ArgumentParser(description="Train the net that sees covered eyes and mouths.")
    parser.add_argument("--data", type=Path, required=True, help="corpus folder")
    parser.add_argument("--out", type=Path, required=True, help="weights to write; crops go beside it")
    parser.add_argument("--steps", type=int, default=TrainConfig.steps, help="batches in all (default %(default)s)")
    parser.add_argument("--drawings", type=int, default=TrainConfig.drawings, help="a face (default %(default)s)")
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
