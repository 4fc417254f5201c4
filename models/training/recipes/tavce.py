"""TAVCE's training: correlation, expression and pose from sound, how faces move (ours), renderer (systems.md, 5.5)."""

from typing import Any, Final

import torch
from torch import Tensor, nn

from models.tavce.config import AROUND, POSE_FRAMES, TavceConfig
from models.tavce.correlation import crop_mouths
from models.tavce.networks import TavceNetworks
from models.tavce.objective import CoefficientBatch, CorrelationBatch, RenderBatch, TavceObjective
from models.training.clips import ClipSet, draw_rows
from models.training.stages import Adam, Judges, Stage, Turn, at_any_step, falling, late_fall
from models.training.watched import Watched, whole

CLIP_FRAMES: Final = POSE_FRAMES
_APART: Final = 3
"""Frames from i to the negative j, at least."""
_FAST: Final = Adam(3e-4)
"""Three times the published rate, for the net of expressions, which has some thousand batches here: it reaches the lips
last."""


class TavceRecipe:
    """How TAVCE is trained. The renderer begins with random weights: its rates are those of face-vid2vid, 2e-4."""

    system = "tavce"
    shown = "renderer"

    def __init__(self, clips: ClipSet, config: TavceConfig, judges: Judges) -> None:
        self.config, self.networks = config, TavceNetworks(config)
        net, objective = self.networks, TavceObjective(self.networks, judges.perceptual())
        self.trained: nn.Module = objective
        self._objective = objective
        self._watched = Watched(clips, "tavce", config.image_px, "wav2lip_mel80")
        slow, critic = Adam(1e-4), Adam(2e-4, (0.5, 0.999))
        encoders = (net.sound, objective.mouths, objective.redrawers)
        drawing = (net.detector, net.mapping, net.generator)
        self.stages = (
            Stage(
                "correlation", 0.1, (Turn("encoders", encoders, at_any_step(objective.correlation), slow, late_fall),)
            ),
            Stage(
                "expression",
                0.12,
                (Turn("expression", (net.expression,), at_any_step(objective.expression), _FAST, falling),),
            ),
            Stage(
                "pose",
                0.08,
                (
                    Turn("pose_critic", (objective.pose_critic,), at_any_step(objective.judge_poses), slow),
                    Turn("pose", (net.pose,), at_any_step(objective.pose), slow),
                ),
            ),
            Stage("motion", 0.05, (Turn("motion", drawing, at_any_step(objective.motion), critic),)),
            Stage(
                "renderer",
                0.65,
                (
                    Turn("generator", drawing, at_any_step(objective.generator), critic, late_fall),
                    Turn("critic", (objective.critic_net,), at_any_step(objective.critic), critic, late_fall),
                ),
            ),
        )

    def batch(self, stage: str, count: int, random: torch.Generator) -> Any:
        """See `Recipe.batch`."""
        rows = draw_rows(len(self._watched.clips), count, random)
        if stage == "correlation":
            return self._correlation(rows, random)
        return self._coefficients(rows, random) if stage in ("expression", "pose") else self._render(rows, random)

    def sheet(self, networks: nn.Module, batch: RenderBatch) -> Tensor:
        """Photo, truth and drawn frame."""
        assert isinstance(networks, TavceNetworks)
        drawn = self._objective.draw(batch, networks)
        return 2 * torch.stack([batch.source, batch.target, drawn], 1) - 1

    def _correlation(self, rows: list[int], random: torch.Generator) -> CorrelationBatch:
        seen, mouths, windows = self._watched, list[Tensor](), list[Tensor]()
        for row in rows:
            length = seen.clips.clips[row].frames
            first = whole(0, length - 1, random)
            others = [frame for frame in range(length) if abs(frame - first) >= _APART]
            frames = [first, first + 1, others[whole(0, len(others), random)]]
            faces = (seen.faces(row, frames) + 1) / 2
            mouths.append(crop_mouths(faces, seen.mouth_centres(row, frames)))
            windows.append(seen.spectra(row, frames[:2]))
        return CorrelationBatch(torch.stack(mouths), torch.stack(windows))

    def _coefficients(self, rows: list[int], random: torch.Generator) -> CoefficientBatch:
        seen, windows, wanted, references = self._watched, list[Tensor](), list[Tensor](), list[Tensor]()
        for row in rows:
            first = seen.start(row, POSE_FRAMES, random)
            frames = range(first, first + POSE_FRAMES)
            every = seen.coefficients(row)
            windows.append(seen.spectra(row, frames)[:, 0])
            wanted.append(every[first : first + POSE_FRAMES])
            references.append(every[seen.frame(row, random)])
        styles = torch.tensor([seen.person(row) % self.config.styles for row in rows])
        return CoefficientBatch(torch.stack(windows), torch.stack(wanted), torch.stack(references), styles)

    def _render(self, rows: list[int], random: torch.Generator) -> RenderBatch:
        seen, parts = self._watched, list[tuple[Tensor, ...]]()
        for row in rows:
            source, last = seen.frame(row, random), seen.start(row, 2, random)
            pictures = (seen.faces(row, [source, last, last + 1]) + 1) / 2
            every = seen.coefficients(row)
            heard = last + 1 + whole(0, AROUND + 1, random)  # a stream knows as much of the future as it waits for
            around = torch.arange(last + 1 - AROUND, last + 2 + AROUND).clamp(0, min(heard, len(every) - 1))
            frames = [last, last + 1]
            windows, centres = seen.spectra(row, frames), seen.mouth_centres(row, frames)
            meshes = seen.mesh_points(row, [source, last + 1])
            parts.append((*pictures, every[source], every[around].t(), windows, centres, meshes))
        return RenderBatch(*(torch.stack(part) for part in zip(*parts, strict=True)))
