"""PC-AVS's training: identity, landmarks, voice, mouth, pose, faces, generator, pose map: systems.md, 2.5."""

from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.fan import FanTrunk, landmark_maps
from models.blocks.lip_motion import LIPS
from models.blocks.pose import pose_map_loss
from models.pcavs.augment import Augmentation, augment, reshape
from models.pcavs.config import PcavsConfig
from models.pcavs.networks import AUDIO_GAIN, PcavsNetworks
from models.pcavs.objective import AlignmentBatch, Batch, PcavsObjective, TurnedBatch
from models.training.clips import ClipSet, draw_rows
from models.training.recipes.angles import angles_deg
from models.training.recipes.voices import voices
from models.training.stages import UNIT_VARIANCE_GAIN, Adam, Judges, Stage, Turn, at_any_step, late_fall
from models.training.watched import Watched
from models.visavis.fit import MEDIAPIPE_68, MEDIAPIPE_IRISES

CLIP_FRAMES: Final = 12
"""Frames whose features together are one clip's mouth."""
_DRAWN_FRAMES: Final = 2
"""Frames of each clip that the generator draws at a time; 1 as published, where the batch is larger."""
_MORE: Final = 3
"""Clips in a batch of faces, for one of other stages."""
_ALIGNED_FRAMES: Final = 4
_TURNED_FRAMES: Final = 4
_BUMP_PX: Final = 6.0
_RATE: Final = 1e-3
_STYLE_GAIN: Final = 150.0
"""On the rate of what a style does to the generator: twelve numbers of pose stand beside hundreds of a person's."""


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
    """How PC-AVS is trained. Landmarks, voice, pose space, faces and pose map are stages of ours.

    The published trunk is a face alignment network. With random weights it answers every frame alike, and voice and
    mouth find nothing to agree on.
    """

    system = "pcavs"
    shown = "generator"

    def __init__(self, clips: ClipSet, config: PcavsConfig, judges: Judges) -> None:
        self.config, self.networks = config, PcavsNetworks(config)
        net = self.networks
        objective = PcavsObjective(net, len(clips.persons), _DRAWN_FRAMES, judges.perceptual())
        self.trained: nn.Module = objective
        self._watched = Watched(clips, "vox", config.frame_px, "lws_mel80")
        trunk, hearing = net.motion.model.trunk, (net.audio, net.motion, objective.lips_head)
        voice = Turn(
            "voice", (net.audio, objective.lips_head), at_any_step(objective.voice), Adam(_RATE / 2), late_fall
        )
        who = (net.identity, objective.person_head)
        drawing = (net.identity, net.audio, net.motion, net.generator, objective.person_head)
        generator = Adam(_RATE / 2, (0.0, 0.9), amsgrad=True)
        styles = nn.ModuleList(layer for layer, _ in net.generator.modulations())

        def pose(batch: PoseBatch, step: int) -> dict[str, Tensor]:
            with torch.no_grad():
                codes, rest = (net.motion(frames)[1] for frames in (batch.frames, batch.rest))
            return {"pose_map": pose_map_loss(net.pose_map, batch.angles_deg, codes, rest)}

        turning = (net.motion.to_headpose, net.motion.headpose_embed, objective.turned_head)
        faces = Turn(
            "faces",
            (*who, net.audio, net.motion.to_mouth, net.motion.mouth_embed, net.generator, objective.lips_head),
            at_any_step(objective.faces),
            Adam(_RATE / 2),
            late_fall,
            ((net.generator, UNIT_VARIANCE_GAIN), (styles, _STYLE_GAIN)),
        )
        self.stages = (
            Stage("identity", 0.03, (Turn("identity", who, at_any_step(objective.identity), Adam(_RATE / 2)),)),
            Stage("alignment", 0.12, (Turn("trunk", (trunk,), at_any_step(objective.alignment), Adam(2 * _RATE)),)),
            Stage("voice", 0.15, (voice,)),
            Stage("mouth_space", 0.10, (Turn("mouth", hearing, at_any_step(objective.mouth_space), Adam(_RATE / 2)),)),
            Stage(
                "pose_space", 0.01, (Turn("pose", turning, at_any_step(objective.pose_space), Adam(5 * _RATE)),), True
            ),
            Stage("faces", 0.40, (faces,), holds_statistics=True),  # a batch's own hide how heads turn a little
            Stage(
                "generator",
                0.16,
                (
                    Turn("generator", drawing, at_any_step(objective.generator), generator),
                    Turn(
                        "critic",
                        (objective.critic_net, objective.pose_head),
                        at_any_step(objective.critic),
                        Adam(2 * _RATE, (0.0, 0.9)),
                    ),
                ),
                holds_statistics=True,
            ),
            Stage("pose_map", 0.03, (Turn("pose_map", (net.pose_map,), pose, Adam(3e-3)),)),
        )

    def batch(self, stage: str, count: int, random: torch.Generator) -> Any:
        """See `Recipe.batch`. Faces are two frames a few apart; the other clips' follow each other."""
        seen = self._watched
        if stage == "voice":
            return voices(seen, count, random)
        rows = draw_rows(len(seen.clips), count, random)
        if stage == "pose_map":
            return poses(seen, rows, random)
        if stage == "alignment":
            return self._landmarks(rows, random)
        if stage == "pose_space":
            return self._turned(draw_rows(len(seen.clips), _MORE * count, random), random)
        if stage == "faces":
            rows = draw_rows(len(seen.clips), _MORE * count, random)
        length = CLIP_FRAMES if stage == "mouth_space" else _DRAWN_FRAMES
        photos, frames, changed, mel, lips = (list[Tensor]() for _ in range(5))
        for row in rows:
            if stage == "faces":
                times = seen.two_frames(row, random)
            else:
                first = seen.start(row, length, random)
                times = range(first, first + length)
            clip = seen.faces(row, times)
            photos.append(seen.faces(row, [seen.frame(row, random)])[0])
            frames.append(clip)
            changed.append(augment(clip, Augmentation.draw(random)))
            mel.append(seen.spectra(row, times))
            lips.append(seen.coefficients(row)[times][:, LIPS])
        persons = [torch.tensor(seen.person(row)) for row in rows]
        stacked = (torch.stack(part) for part in (photos, frames, changed, mel, persons, lips))
        return Batch(*stacked)

    def _landmarks(self, rows: list[int], random: torch.Generator) -> AlignmentBatch:
        seen, frames, maps = self._watched, list[Tensor](), list[Tensor]()
        for row in rows:
            some, how = [seen.frame(row, random) for _ in range(_ALIGNED_FRAMES)], Augmentation.draw(random)
            places = F.avg_pool2d(reshape(_places(seen.size_px), how), FanTrunk.cell_px)[0]
            marks = seen.mesh_points(row, some)[:, list(MEDIAPIPE_68)]
            frames.append(augment(seen.faces(row, some), how))
            maps.append(landmark_maps(marks, places, _BUMP_PX / seen.size_px))
        return AlignmentBatch(torch.cat(frames), torch.cat(maps))

    def _turned(self, rows: list[int], random: torch.Generator) -> TurnedBatch:
        seen, frames, turned = self._watched, list[Tensor](), list[Tensor]()
        for row in rows:
            some = [seen.frame(row, random) for _ in range(_TURNED_FRAMES)]
            frames.append(seen.faces(row, some))
            eyes = seen.mesh_points(row, some)[:, list(MEDIAPIPE_IRISES)].mean(1)
            turned.append(torch.cat([angles_deg(seen.coefficients(row))[some], 100 * eyes], 1))
        return TurnedBatch(torch.stack(frames), torch.stack(turned))

    def sheet(self, networks: nn.Module, batch: Batch) -> Tensor:
        """Photo, truth, and the first frame drawn with the mouth from the voice and from the video."""
        assert isinstance(networks, PcavsNetworks)
        vector, maps = networks.identity(batch.photos)
        seen, pose = networks.motion(batch.frames[:, 0])
        heard = AUDIO_GAIN * networks.audio(batch.mel[:, 0])
        drawn = [networks.draw(networks.style(vector, mouth, pose), maps, "fixed") for mouth in (heard, seen)]
        return torch.stack([batch.photos, batch.frames[:, 0], *drawn], 1)


def _places(size_px: int) -> Tensor:
    """Where every pixel lies, x, y, [1, 2, size_px, size_px]; the picture's edges are 0 and 1."""
    along = (torch.arange(size_px) + 0.5) / size_px
    return torch.stack(torch.meshgrid(along, along, indexing="xy"))[None]


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
