"""FC-TFG's training: the judges that cannot ship, inversion, all together (systems.md, 3.2), then our pose map."""

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.pose import pose_map_loss
from models.blocks.syncnet import FRAMES, SyncNet
from models.fctfg.arcface import ArcFace
from models.fctfg.config import FctfgConfig
from models.fctfg.losses import MOUTH_BOX, mouths
from models.fctfg.networks import FctfgNetworks
from models.fctfg.objective import Batch, FctfgObjective
from models.training.clips import ClipSet, draw_rows
from models.training.recipes.pcavs import PoseBatch, poses
from models.training.stages import Adam, Judges, Stage, Turn, at_any_step
from models.training.watched import Watched, chance

CLIP_FRAMES: Final = 4 * FRAMES
_SYNC_WIDTHS: Final = (16, 32, 64, 96, 128)
_FACE_WIDTHS: Final = (16, 32, 48, 64)
_FACE_VECTOR: Final = 128
_SHARPNESS: Final = 16.0  # of the softmax over persons: vectors have length one
_COVERED: Final = 0.5
"""How many drivers have their mouth covered; the others show another moment of the clip."""
_STYLEGAN: Final = Adam(2e-3, (0.0, 0.99))


class FctfgRecipe:
    """How FC-TFG is trained. SyncNet and ArcFace stand-ins learn on the clips first, where no file of them is given."""

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
        critic = Turn("critic", (objective.critic_net,), objective.critic, _STYLEGAN)
        inverting = (net.visual, net.generator)
        drawing = (*inverting, net.audio, net.canonical, net.motion, net.fusion)

        def pose(batch: PoseBatch, step: int) -> dict[str, Tensor]:
            with torch.no_grad():
                codes, rest = (net.motion.watch(net.visual(f)).flatten(1) for f in (batch.frames, batch.rest))
            return {"pose_map": pose_map_loss(net.pose_map, batch.angles_deg, codes, rest)}

        judging = (Stage("judges", 0.1, tuple(learning)),) if learning else ()
        self.stages = (
            *judging,
            Stage(
                "inversion",
                0.3,
                (Turn("generator", inverting, at_any_step(objective.inversion), _STYLEGAN), critic),
            ),
            Stage(
                "generator",
                0.55,
                (Turn("generator", drawing, at_any_step(objective.generator), _STYLEGAN), critic),
            ),
            Stage("pose_map", 0.05, (Turn("pose_map", (net.pose_map,), pose, Adam(3e-3)),)),
        )

    def batch(self, stage: str, count: int, random: torch.Generator) -> Any:
        """See `Recipe.batch`. In stage "judges" with the sound of another moment and the persons."""
        seen, rows = self._watched, draw_rows(len(self._watched.clips), count, random)
        if stage == "pose_map":
            return poses(seen, rows, random)
        parts = [self._stretch(row, random) for row in rows]
        batch = Batch(*(torch.stack(part) for part in zip(*(part[:4] for part in parts), strict=True)))
        if stage != "judges":
            return batch
        return batch, torch.stack([part[4] for part in parts]), torch.tensor([seen.person(row) for row in rows])

    def sheet(self, networks: nn.Module, batch: Batch) -> Tensor:
        """Photo, driver, truth, what is drawn of the photo, and the truth from its own latents; the middle frame."""
        assert isinstance(networks, FctfgNetworks)
        middle = FRAMES // 2
        drawn = networks(batch.source, batch.driver, batch.mel, "fixed")[:, middle]
        truth = batch.frames[:, middle]
        inverted = networks.generator(networks.visual(truth), noise="fixed")
        return torch.stack([batch.source, batch.driver[:, middle], truth, drawn, inverted], 1)

    def _stretch(self, row: int, random: torch.Generator) -> tuple[Tensor, ...]:
        """Photo, five frames, their driver, their sound, and the sound of another moment at least five frames off."""
        seen = self._watched
        first = seen.start(row, FRAMES, random)
        frames = range(first, first + FRAMES)
        starts = range(seen.clips.clips[row].frames - FRAMES + 1)
        far = [start for start in starts if abs(start - first) >= FRAMES]
        other = far[int(torch.randint(len(far), (), generator=random))]
        clip = seen.faces(row, frames)
        covered = chance(random) < _COVERED
        driver = cover_mouths(clip) if covered else seen.faces(row, range(other, other + FRAMES))
        photo = seen.faces(row, [seen.frame(row, random)])[0]
        elsewhere = seen.spectra(row, [other + FRAMES // 2])[0]
        return photo, clip, driver, seen.spectra(row, frames), elsewhere

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


def cover_mouths(clip: Tensor) -> Tensor:
    """Clips [..., 3, S, S] with the lower face grey, so that lips can only be learned from the voice."""
    top, bottom, left, right = (round(clip.shape[-1] * edge) for edge in MOUTH_BOX)
    out = clip.clone()
    out[..., top:bottom, left:right] = 0.0
    return out
