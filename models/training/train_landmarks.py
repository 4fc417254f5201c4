"""Train the landmark net: `python -m models.training.train_landmarks --data DIR --out FILE`."""

import argparse
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from models.training.landmark_crops import (
    CropSet,
    Photo,
    joined,
    list_photos,
    load_crops,
    load_renders,
    look,
    mean_face,
    mirror_partners,
    spoil,
)
from models.visavis.fit import MEDIAPIPE_68
from models.visavis.landmarks import (
    CROP_PX,
    EYE_GAPS,
    INNER_LIPS,
    IRISES,
    LEFT_EYELIDS,
    LIP_GAPS,
    OUTER_LIPS,
    POINTS,
    RIGHT_EYELIDS,
    LandmarkNet,
    align,
)

logger = logging.getLogger(__name__)

_EYES_APART: Final = 0.4
"""Distance of the outer corners of the eyes in an aligned crop, in its sides."""

Errors = dict[str, dict[str, float]]
"""By what was measured on and what was measured."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything the trainer can be told."""

    data: Path
    out: Path
    pairs: Path | None = None
    steps: int = 2400
    batch: int = 64
    threads: int = 1
    peak_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.data.is_dir():
            raise ValueError(f"--data must be the corpus folder, got {self.data}")
        if self.pairs is not None and not any(self.pairs.glob("*.npz")):
            raise ValueError(f"--pairs must hold what models.training.pairs wrote, got {self.pairs} without .npz files")
        if self.steps < 1 or self.batch < 8 or self.threads < 1:
            raise ValueError("--steps and --threads must be at least 1, --batch at least 8")


def point_weights() -> Tensor:
    """How much each point counts, [478], mean 1: lips, lids and irises most, then the 68, then the rest."""
    weights = torch.ones(POINTS)
    weights[list(MEDIAPIPE_68)] = 3
    weights[list(OUTER_LIPS + IRISES)] = 4
    weights[list(INNER_LIPS + RIGHT_EYELIDS + LEFT_EYELIDS)] = 6
    return weights / weights.mean()


def loss_px(predicted: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted L1 of the points plus L1 of the lip and lid gaps, in crop pixels."""
    points = ((predicted - labels).abs() * weights[:, None]).mean()
    upper, lower = (list(side) for side in zip(*LIP_GAPS, *EYE_GAPS, strict=True))
    gaps = (predicted[:, upper] - predicted[:, lower]) - (labels[:, upper] - labels[:, lower])
    return (points + 0.5 * gaps.abs().mean()) * CROP_PX


def motion_loss_px(predicted: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted L1 of what moves from a photo to a state of it, in crop pixels: [2 N, 478, 2], states first.

    What a detector takes for a point of a person is one thing in all of their pictures. Where the labels of states
    are carried by the rig, only what moves is told apart from that; without this loss turns are seen too short.
    """
    right, left = (torch.view_as_complex(labels[:, corner].contiguous()) for corner in (33, 263))
    off = torch.view_as_complex(predicted - labels) / (left - right)[:, None]  # upright, in distances of the eyes
    moved, still = torch.view_as_real(off).chunk(2)
    return ((moved - still).abs() * weights[:, None]).mean() * _EYES_APART * CROP_PX


def initial_net(photos: list[Photo]) -> LandmarkNet:
    """A net that answers the mean face, its last layer spread over the main ways in which faces differ."""
    net = LandmarkNet()
    shapes = np.stack([photo.points_px for photo in photos])
    mean = mean_face(shapes[:, :, :2])
    places = [align(mean, shape[:, :2]) for shape in shapes]
    depth = np.mean([shape[:, 2] / place.side_px for shape, place in zip(shapes, places, strict=True)], axis=0)
    partners = torch.from_numpy(mirror_partners(np.concatenate([mean, depth[:, None]], axis=1)))
    net.mirror.copy_(partners)
    # symmetric by construction, or mirrored training would pull the answer off it
    mean_shape = torch.from_numpy(mean).float()
    mean_shape = (mean_shape + net.unmirrored(mean_shape)) / 2
    net.mean_shape.copy_(mean_shape)
    turned = [place.to_crop(shape[:, :2]) - mean for shape, place in zip(shapes, places, strict=True)]
    modes = torch.pca_lowrank(torch.from_numpy(np.stack(turned)).float().flatten(1), q=60, niter=4)
    x, y = (mean_shape - 0.5).unbind(1)
    ones, zeros = torch.ones(POINTS), torch.zeros(POINTS)
    poses = [torch.stack(pair, 1).flatten() for pair in ((ones, zeros), (zeros, ones), (x, y), (-y, x))]
    scale = modes[1] / math.sqrt(len(photos))
    basis = torch.cat([modes[2] * scale, torch.stack(poses, 1) * 0.05], dim=1)  # [956, 64]
    with torch.no_grad():
        mixing = torch.randn(basis.shape[1], net.offsets.in_features) / math.sqrt(net.offsets.in_features)
        net.offsets.weight.copy_(basis @ mixing)
        net.offsets.bias.zero_()
    return net


class Trainer:
    """The state of a training run: it can be saved after any step and taken up again."""

    def __init__(self, config: TrainConfig, net: nn.Module) -> None:
        self.config = config
        self.net = net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - the stub lacks it
        self.average = {name: t.detach().clone() for name, t in net.state_dict().items()}
        self.optimizer = torch.optim.AdamW(net.parameters(), lr=config.peak_rate, weight_decay=0.02)
        self.rng = torch.Generator().manual_seed(config.seed)
        self.done = 0

    @property
    def checkpoint(self) -> Path:
        """Where the run is kept between starts."""
        return self.config.out.with_suffix(".checkpoint.pt")

    def save(self) -> None:
        """Keep all that `resume` needs."""
        state = {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.get_state(),
            "done": self.done,
        }
        torch.save(state, self.checkpoint.with_suffix(".tmp"))
        self.checkpoint.with_suffix(".tmp").replace(self.checkpoint)

    def resume(self) -> None:
        """Take up the run that `save` kept, if there is one."""
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, weights_only=True)
            self.net.load_state_dict(state["net"])
            self.average = state["average"]
            self.optimizer.load_state_dict(state["optimizer"])
            self.rng.set_state(state["rng"])
            self.done = state["done"]

    def rate(self) -> float:
        """Learning rate of the next step: a short rise, then a cosine down to 1 %."""
        rise = min(1.0, (self.done + 1) / 100)
        fall = 0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * min(1.0, self.done / self.config.steps)))
        return self.config.peak_rate * rise * fall

    def step(self, loss: Tensor) -> float:
        """Learn from the loss of one batch; returns it as a number."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 20.0)
        self.optimizer.step()
        self.done += 1
        self._follow(min(0.998, self.done / (self.done + 20)))
        return float(loss.detach())

    @torch.no_grad()
    def _follow(self, keep: float) -> None:
        for name, value in self.net.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)
            else:
                self.average[name].copy_(value)

    def export(self) -> None:
        """Write the averaged weights, fp16."""
        half = {n: (t.half() if t.is_floating_point() else t).contiguous() for n, t in self.average.items()}
        save_file(half, self.config.out)

    def run(self, loss_px: Callable[[], Tensor], errors: Callable[[], Errors]) -> Errors:
        """Do what is left of the steps; keeps, exports and measures every 200 of them.

        Args:
            loss_px: The loss of a random batch.
            errors: How far the averaged net is off.

        Returns:
            The errors at the end.
        """
        recent = 0.0
        self.net.train()
        with tqdm(total=self.config.steps, initial=self.done) as bar:
            while self.done < self.config.steps:
                loss = self.step(loss_px())
                recent = loss if recent == 0 else recent + 0.02 * (loss - recent)
                bar.set_postfix(loss_px=f"{recent:.2f}", refresh=False)
                bar.update()
                if self.done % 200 == 0:
                    self.save()
                    self.export()
                    logger.info("step %d, loss %.3f px, %s", self.done, recent, words(errors()))
        self.save()
        self.export()
        return errors()


def batch_loss(trainer: Trainer, net: LandmarkNet, faces: CropSet, weights: Tensor) -> Tensor:
    """The loss of a random batch, in crop pixels: half of it random pictures, half the photos they are states of."""
    rows = torch.randint(len(faces.crops), (trainer.config.batch // 2,), generator=trainer.rng)
    crops, labels = look(faces, torch.cat([rows, faces.photos[rows]]), net.mirror, trainer.rng, twins=True)
    crops = spoil(crops, trainer.rng).mul_(2).sub_(1).contiguous(memory_format=torch.channels_last)
    predicted = net(crops)
    return loss_px(predicted, labels, weights) + motion_loss_px(predicted, labels, weights)


@torch.no_grad()
def error_percent(state: dict[str, Tensor], faces: CropSet) -> dict[str, float]:
    """Mean distance to the labels in % of the distance between the outer eye corners, on nearly aligned crops."""
    net = LandmarkNet()
    net.load_state_dict(state)
    net.eval()
    rng = torch.Generator().manual_seed(1)
    distances: list[Tensor] = []
    for rows in torch.arange(len(faces.crops)).split(64):
        crops, labels = look(faces, rows, net.mirror, rng, loose_share=0.0)
        between_eyes = (labels[:, 33] - labels[:, 263]).norm(dim=-1)
        distances.append((net(crops * 2 - 1) - labels).norm(dim=-1) / between_eyes[:, None] * 100)
    every = torch.cat(distances)
    groups = {"68": MEDIAPIPE_68, "inner lips": INNER_LIPS, "lids": RIGHT_EYELIDS + LEFT_EYELIDS, "irises": IRISES}
    return {name: float(every[:, list(points)].mean()) for name, points in groups.items()}


def load_faces(
    config: TrainConfig, photos: list[Photo], mean: NDArray[np.float64]
) -> tuple[CropSet, dict[str, CropSet]]:
    """The faces to learn from, and by name the sets of faces of persons held out. `mean` as for `load_crops`."""
    kept, held_out = ([photo for photo in photos if photo.held_out == out] for out in (False, True))
    faces = load_crops(config.data, kept, mean, config.out.with_suffix(".crops.npz"))
    sets = {"held-out photos": load_crops(config.data, held_out, mean, config.out.with_suffix(".held-out.npz"))}
    if config.pairs is not None:
        renders, sets["held-out re-rendered states"] = load_renders(config.pairs, mean)
        faces = joined(faces, renders)
    counts = ", ".join(f"{len(some.crops)} {name}" for name, some in sets.items())
    logger.info("%d faces to learn from, %s", len(faces.crops), counts)
    return faces, sets


def train(config: TrainConfig) -> Errors:
    """Train or go on training, write the weights, return the errors on persons held out."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    photos = list_photos(config.data)
    net = initial_net([photo for photo in photos if not photo.held_out])
    trainer = Trainer(config, net)
    trainer.resume()
    faces, sets = load_faces(config, photos, net.mean_shape.double().numpy())
    weights = point_weights()
    return trainer.run(
        lambda: batch_loss(trainer, net, faces, weights),
        lambda: {name: error_percent(trainer.average, some) for name, some in sets.items()},
    )


def words(errors: Errors) -> str:
    """Errors in one line."""
    return "; ".join(
        f"{of}: " + ", ".join(f"{name} {value:.2f}" for name, value in some.items()) for of, some in errors.items()
    )


def parse(argv: Sequence[str] | None, trained: str = "the face landmark net") -> TrainConfig:
    """Command line to config; exits with 2 on wrong usage."""
    parser = argparse.ArgumentParser(description=f"Train {trained}. Run it again to go on where it stopped.")
    parser.add_argument("--data", type=Path, required=True, help="corpus folder")
    parser.add_argument("--out", type=Path, required=True, help="weights to write; checkpoint and crops go beside it")
    parser.add_argument("--pairs", type=Path, help="re-rendered states, to learn from as well")
    parser.add_argument("--steps", type=int, default=TrainConfig.steps, help="batches in all (default %(default)s)")
    parser.add_argument("--batch", type=int, default=TrainConfig.batch, help="faces a batch (default %(default)s)")
    parser.add_argument("--threads", type=int, default=TrainConfig.threads, help="CPU threads (default %(default)s)")
    args = parser.parse_args(argv)
    try:
        return TrainConfig(**vars(args))
    except ValueError as error:
        parser.error(str(error))


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logger.info("%s", words(train(parse(argv))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
