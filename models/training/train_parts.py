"""Train the nets that look closer at eyes and mouth: `python -m models.training.train_parts --data DIR --out FILE`.

Photos hardly show closed lids or a gaze aside: `--pairs` adds re-rendered states that do. One step learns from the eyes
and the mouths of a batch of faces.
"""

import logging
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from models.training.landmark_crops import CropSet, list_photos, spoil
from models.training.train_landmarks import Errors, TrainConfig, Trainer, load_faces, parse, words
from models.visavis.landmarks import EYE_GAPS, INNER_LIPS, IRISES, LEFT_EYELIDS, LIP_GAPS, RIGHT_EYELIDS, load_net
from models.visavis.parts import LEFT_EYE, MOUTH, PART_PX, RIGHT_EYE, Part, PartNets, flipped, mouth_partners

logger = logging.getLogger(__name__)

_TURN_DEG = 8.0
_SCALE = 0.12
_SHIFT = 0.08
"""How far off the first look may leave a part: degrees, logarithm of the size, sides of the crop."""


def look_at(faces: CropSet, rows: Tensor, part: Part, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Cut one part out of stored faces, a little off.

    Args:
        faces: The stored crops.
        rows: Which to take, [B].
        part: Which part.
        rng: Random numbers.

    Returns:
        Crops [B, 3, PART_PX, PART_PX], 0 to 1, and labels in their units, [B, P, 2].
    """
    count = len(rows)

    def off(reach: float) -> Tensor:
        return (torch.rand(count, generator=rng) * 2 - 1) * reach

    points = torch.view_as_complex(faces.points[rows][:, list(part.points)].contiguous())
    turn = faces.turns[rows] * part.side * torch.polar(off(_SCALE).exp(), off(math.radians(_TURN_DEG)))
    corner = points.mean(1) + turn * (torch.complex(off(_SHIFT), off(_SHIFT)) - (0.5 + 0.5j))
    steps = (torch.arange(PART_PX) + 0.5) / PART_PX
    pixels = torch.complex(steps.expand(PART_PX, -1), steps[:, None].expand(-1, PART_PX))
    grid = torch.view_as_real(pixels * turn[:, None, None] + corner[:, None, None]) * 2 - 1
    stored = faces.crops[rows].permute(0, 3, 1, 2).float() / 255
    crops = F.grid_sample(stored, grid, mode="bilinear", padding_mode="border", align_corners=False)
    labels = torch.view_as_real((points - corner[:, None]) / turn[:, None])
    if part.mirrored:
        return crops.flip(3), flipped(labels)
    return crops, labels


def eyes(faces: CropSet, rows: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Right eyes and mirrored left ones of some faces, as `look_at`: 2 B rows."""
    sides = [look_at(faces, rows, part, rng) for part in (RIGHT_EYE, LEFT_EYE)]
    crops, labels = zip(*sides, strict=True)
    return torch.cat(crops), torch.cat(labels)


def _gap_rows(part: Part, gaps: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
    where = {point: row for row, point in enumerate(part.points)}
    return [where[upper] for upper, _ in gaps], [where[lower] for _, lower in gaps]


_LIDS = _gap_rows(RIGHT_EYE, EYE_GAPS[:3])
_LIPS = _gap_rows(MOUTH, LIP_GAPS)
_EYE_WEIGHTS = torch.tensor([3.0 if point in IRISES else 1.0 for point in RIGHT_EYE.points])  # a gaze is few pixels
_MOUTH_WEIGHTS = torch.ones(len(MOUTH.points))


def loss_px(predicted: Tensor, labels: Tensor, weights: Tensor, gaps: tuple[list[int], list[int]]) -> Tensor:
    """Weighted L1 of the points, and L1 of the gaps between `gaps`' upper and lower points, in crop pixels."""
    upper, lower = gaps
    apart = (predicted[:, upper] - predicted[:, lower]) - (labels[:, upper] - labels[:, lower])
    points = ((predicted - labels).abs() * weights[:, None]).mean()
    return (points + 0.5 * apart.abs().mean()) * PART_PX


def batch_loss(trainer: Trainer, nets: PartNets, faces: CropSet) -> Tensor:
    """The loss of a random batch of faces: eyes and mouths."""
    rows = torch.randint(len(faces.crops), (trainer.config.batch,), generator=trainer.rng)
    total = torch.zeros(())
    for net, (crops, labels), weights, gaps in (
        (nets.eye, eyes(faces, rows, trainer.rng), _EYE_WEIGHTS, _LIDS),
        (nets.mouth, _flip_some(*look_at(faces, rows, MOUTH, trainer.rng), trainer.rng), _MOUTH_WEIGHTS, _LIPS),
    ):
        crops = spoil(crops, trainer.rng).mul_(2).sub_(1).contiguous(memory_format=torch.channels_last)
        total = total + loss_px(net(crops), labels, weights, gaps)
    return total


def _flip_some(crops: Tensor, labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror half of the mouths."""
    mirror = torch.rand(len(crops), generator=rng) < 0.5
    mirrored = flipped(labels)[:, mouth_partners(load_net())]
    crops = torch.where(mirror[:, None, None, None], crops.flip(3), crops)
    return crops, torch.where(mirror[:, None, None], mirrored, labels)


@torch.no_grad()
def error_percent(state: dict[str, Tensor], faces: CropSet) -> dict[str, float]:
    """Mean distance to the labels in % of the distance of the outer eye corners, and how shut lids are read.

    "shut lids" is the mean lid gap that the net reads where the labels' is under 0.12, both as a share of the eye's
    width; "iris slope" how far an iris moves sideways in the eye for each unit that it does in the labels.
    """
    nets = PartNets()
    nets.load_state_dict(state)
    nets.eval()
    rng = torch.Generator().manual_seed(1)
    found, truth = [faces.points.clone()], faces.points
    for part, net in ((RIGHT_EYE, nets.eye), (LEFT_EYE, nets.eye), (MOUTH, nets.mouth)):
        for rows in torch.arange(len(faces.crops)).split(128):
            crops, labels = look_at(faces, rows, part, rng)
            off = (net(crops * 2 - 1) - labels) * torch.tensor([-1.0 if part.mirrored else 1.0, 1.0])
            turned = torch.view_as_complex(off.contiguous()) * (faces.turns[rows] * part.side)[:, None]
            found[0][rows[:, None], torch.tensor(part.points)] += torch.view_as_real(turned)
    across = (truth[:, 33] - truth[:, 263]).norm(dim=-1)
    apart = (found[0] - truth).norm(dim=-1) / across[:, None] * 100
    groups = {"inner lips": INNER_LIPS, "lids": RIGHT_EYELIDS + LEFT_EYELIDS, "irises": IRISES}
    out = {name: float(apart[:, list(points)].mean()) for name, points in groups.items()}
    gap, wanted = _lid_gap(found[0]), _lid_gap(truth)
    out["shut lids"] = float(gap[wanted < 0.12].mean())
    seen, looked = _iris_place(found[0]), _iris_place(truth)
    looked = looked - looked.mean()
    out["iris slope"] = float((seen * looked).sum() / looked.square().sum())
    return out


def _lid_gap(points: Tensor) -> Tensor:
    upper, lower = (list(lid) for lid in zip(*EYE_GAPS[:3], strict=True))
    return (points[:, upper] - points[:, lower]).norm(dim=-1).mean(1) / (points[:, 33] - points[:, 133]).norm(dim=-1)


def _iris_place(points: Tensor) -> Tensor:
    """How far along the right eye the iris is, 0 at the outer corner to 1."""
    along = points[:, 133] - points[:, 33]
    return ((points[:, 468] - points[:, 33]) * along).sum(-1) / along.square().sum(-1)


def initial_nets(faces: CropSet) -> PartNets:
    """Nets that answer the mean part."""
    nets = PartNets()
    rows = torch.arange(len(faces.crops))
    still = torch.Generator().manual_seed(0)
    for net, part in ((nets.eye, RIGHT_EYE), (nets.mouth, MOUTH)):
        labels = torch.cat([look_at(faces, some, part, still)[1] for some in rows[:1024].split(128)])
        net.mean_shape.copy_(labels.mean(0))
    return nets


def train(config: TrainConfig) -> Errors:
    """Train or go on training, write the weights, return the errors on persons held out."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    faces, sets = load_faces(config, list_photos(config.data), load_net().mean_shape.double().numpy())
    nets = initial_nets(faces)
    trainer = Trainer(config, nets)
    trainer.resume()
    return trainer.run(
        lambda: batch_loss(trainer, nets, faces),
        lambda: {name: error_percent(trainer.average, some) for name, some in sets.items()},
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logger.info("%s", words(train(parse(argv, "the nets of eyes and mouth"))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
