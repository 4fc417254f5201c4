"""PC-AVS's training: identity, mouth space, generator with pose space (systems.md, 2.5), then our pose map."""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from models.blocks.pose import pose_map_loss
from models.pcavs.augment import Augmentation, augment
from models.pcavs.config import PcavsConfig
from models.pcavs.networks import AUDIO_GAIN, PcavsNetworks
from models.pcavs.objective import Batch, PcavsObjective
from models.training.clips import ClipSet, draw_rows
from models.training.recipes.angles import angles_deg
from models.training.stages import Adam, Judges, Stage, Turn, at_any_step
from models.training.watched import Watched

CLIP_FRAMES: Final = 12
"""Frames whose features together are one clip's mouth."""
_DRAWN_FRAMES: Final = 2
"""Frames of each clip that the generator draws at a time; 1 as published, where the batch is larger."""
_RATE: Final = 1e-3


@dataclass(frozen=True)
class PoseBatch:
    """Frames against another frame of their clip, the rest.

    Attributes:
        frames, rest: [B, 3, S, S], -1 to 1.
        angles_deg: Yaw, pitch, roll of the frames less those of the rest, [B, 3].
    """

    frames: Tensor
    rest: Tensor
    angles_deg: Tensor


class PcavsRecipe:
    """How PC-AVS is trained. The mouth space trains the trunk too: ours has no face alignment network to begin with."""

    system = "pcavs"
    shown = "generator"

    def __init__(self, clips: ClipSet, config: PcavsConfig, judges: Judges) -> None:
        self.config, self.networks = config, PcavsNetworks(config)
        net = self.networks
        objective = PcavsObjective(net, len(clips.persons), _DRAWN_FRAMES, judges.perceptual())
        self.trained: nn.Module = objective
        self._watched = Watched(clips, "vox", config.frame_px, "lws_mel80")
        who = (net.identity, objective.person_head)
        drawing = (net.identity, net.audio, net.motion, net.generator, objective.person_head)
        generator = Adam(_RATE / 2, (0.0, 0.9), amsgrad=True)

        def mouth_space(batch: Batch, step: int) -> dict[str, Tensor]:
            return objective.mouth_space(batch, train_trunk=True)

        def pose(batch: PoseBatch, step: int) -> dict[str, Tensor]:
            with torch.no_grad():
                codes, rest = (net.motion(frames)[1] for frames in (batch.frames, batch.rest))
            return {"pose_map": pose_map_loss(net.pose_map, batch.angles_deg, codes, rest)}

        self.stages = (
            Stage("identity", 0.05, (Turn("identity", who, at_any_step(objective.identity), Adam(_RATE / 2)),)),
            Stage("mouth_space", 0.2, (Turn("mouth", (net.audio, net.motion), mouth_space, Adam(_RATE / 2)),)),
            Stage(
                "generator",
                0.7,
                (
                    Turn("generator", drawing, at_any_step(objective.generator), generator),
                    Turn(
                        "critic",
                        (objective.critic_net, objective.pose_head),
                        at_any_step(objective.critic),
                        Adam(2 * _RATE, (0.0, 0.9)),
                    ),
                ),
            ),
            Stage("pose_map", 0.05, (Turn("pose_map", (net.pose_map,), pose, Adam(3e-3)),)),
        )

    def batch(self, stage: str, count: int, random: torch.Generator) -> Any:
        """See `Recipe.batch`."""
        seen, rows = self._watched, draw_rows(len(self._watched.clips), count, random)
        if stage == "pose_map":
            return poses(seen, rows, random)
        length = CLIP_FRAMES if stage == "mouth_space" else _DRAWN_FRAMES
        photos, frames, changed, mel = list[Tensor](), list[Tensor](), list[Tensor](), list[Tensor]()
        for row in rows:
            first = seen.start(row, length, random)
            clip = seen.faces(row, range(first, first + length))
            photos.append(seen.faces(row, [seen.frame(row, random)])[0])
            frames.append(clip)
            changed.append(augment(clip, Augmentation.draw(random)))
            mel.append(seen.spectra(row, range(first, first + length)))
        persons = [torch.tensor(seen.person(row)) for row in rows]
        stacked = (torch.stack(part) for part in (photos, frames, changed, mel, persons))
        return Batch(*stacked)

    def sheet(self, networks: nn.Module, batch: Batch) -> Tensor:
        """Photo, truth, and the first frame drawn with the mouth from the voice and from the video."""
        assert isinstance(networks, PcavsNetworks)
        vector, start = networks.identity(batch.photos)
        seen, pose = networks.motion(batch.frames[:, 0])
        heard = AUDIO_GAIN * networks.audio(batch.mel[:, 0])
        drawn = [networks.draw(networks.style(vector, mouth, pose), start, "fixed") for mouth in (heard, seen)]
        return torch.stack([batch.photos, batch.frames[:, 0], *drawn], 1)


def poses(seen: Watched, rows: list[int], random: torch.Generator) -> PoseBatch:
    """Two frames of each clip, drawn at random."""
    frames, rest, angles = list[Tensor](), list[Tensor](), list[Tensor]()
    for row in rows:
        one, other = seen.frame(row, random), seen.frame(row, random)
        pictures, turned = seen.faces(row, [one, other]), angles_deg(seen.coefficients(row))
        frames.append(pictures[0])
        rest.append(pictures[1])
        angles.append(turned[one] - turned[other])
    return PoseBatch(torch.stack(frames), torch.stack(rest), torch.stack(angles))
