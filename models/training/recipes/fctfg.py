"""FC-TFG's training: judges, voice (ours), inversion, faces (ours), all together, pose map (ours); systems.md, 3.2."""

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.lip_motion import LIPS
from models.blocks.pose import pose_map_loss
from models.blocks.syncnet import FRAMES, SyncNet
from models.fctfg.arcface import ArcFace
from models.fctfg.config import FctfgConfig
from models.fctfg.losses import mouths
from models.fctfg.networks import FctfgNetworks
from models.fctfg.objective import Batch, FctfgObjective
from models.training.clips import ClipSet, draw_rows
from models.training.recipes.pcavs import PoseBatch, poses
from models.training.recipes.voices import voices
from models.training.stages import UNIT_VARIANCE_GAIN, Adam, Judges, Stage, Turn, at_any_step, late_fall
from models.training.watched import Watched

_SYNC_WIDTHS: Final = (16, 32, 64, 96, 128)
_FACE_WIDTHS: Final = (16, 32, 48, 64)
_FACE_VECTOR: Final = 128
_SHARPNESS: Final = 16.0  # of the softmax over persons: vectors have length one
_MORE: Final = 3
"""Clips in a batch of faces, for one of other stages."""
_STYLEGAN: Final = Adam(2e-3, (0.0, 0.99))
_FACES_ADAM: Final = Adam(1e-3)
"""Ours: without a discriminator, momentum helps."""
_GENTLE_ADAM: Final = Adam(1e-4, (0.0, 0.99))
"""Where the decoder comes trained from the faces: systems.md, 3.2."""


class FctfgRecipe:
    """How FC-TFG is trained. SyncNet and ArcFace stand-ins learn on the clips first, where no file of them is given.

    A generator that carries a photo's features would invert a picture by copying it: that stage is left out then.
    """

    system = "fctfg"
    shown = "generator"

    def __init__(self, clips: ClipSet, config: FctfgConfig, judges: Judges) -> None:
        self.config, self.networks = config, FctfgNetworks(config)
        net = self.networks
        self._watched = Watched(clips, "vox", config.frame_px, "wav2lip_mel80")
        scorer = SyncNet(_SYNC_WIDTHS) if judges.syncnet is None else SyncNet.load(judges.syncnet)
        narrow = ArcFace(_FACE_WIDTHS, (1, 1, 1, 1), _FACE_VECTOR)
        face_vector = narrow if judges.arcface is None else ArcFace.load(judges.arcface)
        objective = FctfgObjective(net, face_vector, scorer, judges.perceptual())
        self.trained = _Trained(objective, len(clips.persons))
        self._objective = objective
        learning = list[Turn]()
        if judges.syncnet is None:
            scorer.requires_grad_()
            learning.append(Turn("syncnet", (scorer,), self._agree, Adam(1e-4)))
        if judges.arcface is None:
            face_vector.requires_grad_()
            learning.append(Turn("faces", (face_vector, self.trained.persons), self._recognise, Adam(1e-4)))
        judging = (Stage("judges", 0.05, tuple(learning)),) if learning else ()
        voice = Turn("voice", (net.audio, objective.lips_head), at_any_step(objective.voice), _FACES_ADAM, late_fall)
        critic = Turn("critic", (objective.critic_net,), objective.critic, _STYLEGAN)
        inverting = (net.visual, net.generator)
        mapping = (*inverting, net.carrier, net.audio, net.canonical, net.motion, objective.lips_head)
        drawing = (*mapping, net.fusion)

        def pose(batch: PoseBatch, step: int) -> dict[str, Tensor]:
            with torch.no_grad():
                codes, rest = (net.pose_codes(frames) for frames in (batch.frames, batch.rest))
            return {"pose_map": pose_map_loss(net.pose_map, batch.angles_deg, codes, rest)}

        inversion = Turn("generator", inverting, at_any_step(objective.inversion), _STYLEGAN)
        inverted = () if config.generator.carries else (Stage("inversion", 0.05, (inversion, critic)),)
        gains = (net.generator, UNIT_VARIANCE_GAIN), (net.generator.to_flows, 1.0)
        faces = Turn("faces", mapping, at_any_step(objective.faces), _FACES_ADAM, late_fall, gains)
        last = Turn("generator", drawing, at_any_step(objective.generator), _GENTLE_ADAM, late_fall, gains)
        self.stages = (
            *judging,
            Stage("voice", 0.15, (voice,)),
            *inverted,
            Stage("faces", 0.62, (faces,)),
            Stage("generator", 0.10, (last, critic), holds_statistics=True),
            Stage("pose_map", 0.03, (Turn("pose_map", (net.pose_map,), pose, Adam(3e-3)),)),
        )

    def batch(self, stage: str, count: int, random: torch.Generator) -> Any:
        """See `Recipe.batch`. In stage "judges" with the sound of another moment and the persons.

        Faces, and what is inverted, are two frames a few apart of many clips; other frames follow each other.
        """
        seen = self._watched
        if stage == "voice":
            return voices(seen, count, random)
        many = stage in ("inversion", "faces")
        rows = draw_rows(len(seen.clips), _MORE * count if many else count, random)
        if stage == "pose_map":
            return poses(seen, rows, random)
        times = [self._times(row, many, random) for row in rows]
        batch = self._batch(rows, times, random)
        if stage != "judges":
            return batch
        elsewhere = [self._elsewhere(row, first[0], random) for row, first in zip(rows, times, strict=True)]
        return batch, torch.stack(elsewhere), torch.tensor([seen.person(row) for row in rows])

    def sheet(self, networks: nn.Module, batch: Batch) -> Tensor:
        """Photo, truth, and what is drawn of the photo; the middle frame."""
        assert isinstance(networks, FctfgNetworks)
        middle = FRAMES // 2
        drawn = networks(batch.source, batch.frames, batch.mel, "fixed")[:, middle]
        return torch.stack([batch.source, batch.frames[:, middle], drawn], 1)

    def _times(self, row: int, many: bool, random: torch.Generator) -> list[int]:
        seen = self._watched
        if many:
            return seen.two_frames(row, random)
        first = seen.start(row, FRAMES, random)
        return [*range(first, first + FRAMES)]

    def _batch(self, rows: list[int], times: list[list[int]], random: torch.Generator) -> Batch:
        seen, pairs = self._watched, [*zip(rows, times, strict=True)]
        return Batch(
            source=torch.stack([seen.faces(row, [seen.frame(row, random)])[0] for row in rows]),
            frames=torch.stack([seen.faces(row, some) for row, some in pairs]),
            mel=torch.stack([seen.spectra(row, some) for row, some in pairs]),
            lips=torch.stack([seen.coefficients(row)[some][:, LIPS] for row, some in pairs]),
        )

    def _elsewhere(self, row: int, first: int, random: torch.Generator) -> Tensor:
        """The sound of five frames that begin at least five frames from `first`."""
        starts = range(self._watched.clips.clips[row].frames - FRAMES + 1)
        far = [start for start in starts if abs(start - first) >= FRAMES]
        other = far[int(torch.randint(len(far), (), generator=random))]
        return self._watched.spectra(row, [other + FRAMES // 2])[0]

    def _agree(self, batch: tuple[Batch, Tensor, Tensor], step: int) -> dict[str, Tensor]:
        """Wav2Lip's loss: the cosine as the chance that five mouths and a window are of one moment."""
        clips, elsewhere, _ = batch
        lips = mouths(clips.frames)
        scores = (self._objective.scorer(lips, sound) for sound in (clips.mel[:, FRAMES // 2], elsewhere))
        right, wrong = (score.float().clamp(1e-6, 1 - 1e-6) for score in scores)
        return {"right": -right.log().mean(), "wrong": -(1 - wrong).log().mean()}

    def _recognise(self, batch: tuple[Batch, Tensor, Tensor], step: int) -> dict[str, Tensor]:
        clips, _, persons = batch
        vectors = self._objective.face_vector(clips.source)
        directions = F.normalize(self.trained.persons.weight)
        return {"persons": F.cross_entropy(_SHARPNESS * vectors @ directions.t(), persons)}


class _Trained(nn.Module):
    """The objective, and the directions that stand for persons while the face judge learns."""

    def __init__(self, objective: FctfgObjective, persons: int) -> None:
        super().__init__()
        self.objective = objective
        self.persons = nn.Linear(_FACE_VECTOR, persons, bias=False)
