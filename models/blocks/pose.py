"""Where a head's pose comes from: a recorded clip, live frames, or angles of the control channel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.rig import columns
from models.system import IdentityState

ANGLES: Final = ("headYaw", "headPitch", "headRoll")
"""The rig controls that `PoseMap` reads."""
ANGLE_COLUMNS: Final = tuple(columns(ANGLES))
_ANGLE_UNIT_DEG: Final = 15.0


class PoseMap(nn.Module):
    """Head angles to a change of a pose code: ours, so that a control channel can turn the head.

    It learns, from frames whose angles are known, the difference of their code and that of the frame at rest. No angle
    is no change, whatever the weights.
    """

    def __init__(self, hidden: int, code: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(len(ANGLES), hidden), nn.Linear(hidden, code, bias=False)

    def forward(self, angles_deg: Tensor) -> Tensor:
        """Yaw, pitch, roll as in `models.rig`, [B, 3], degrees, to [B, code]."""
        bent = F.silu(self.inner(angles_deg / _ANGLE_UNIT_DEG))
        return self.outer(bent - F.silu(self.inner(torch.zeros_like(angles_deg))))


def pose_map_loss(pose_map: PoseMap, angles_deg: Tensor, codes: Tensor, rest: Tensor) -> Tensor:
    """What `PoseMap` is trained by: squared error to what the pose of frames changed in their code. Moves it alone.

    Args:
        pose_map: To be trained.
        angles_deg: Of the frames against the rest frames of their persons, [B, 3].
        codes: Pose codes of the frames, [B, code].
        rest: Of the rest frames, [B, code].
    """
    return F.mse_loss(pose_map(angles_deg), (codes - rest).detach())


def back_and_forth(frame: int, length: int) -> int:
    """Which of a clip's frames is shown when it is played forth and back for ever; both ends are shown twice."""
    turn, at = divmod(frame, length)
    return length - 1 - at if turn % 2 else at


def follow_clip(identity: IdentityState, codes: Tensor) -> IdentityState:
    """The same person, moving as recorded: codes [frames, code] of the system's `pose_codes`, forth and back."""
    return replace(identity, tensors=identity.tensors | {"pose": codes})


@dataclass(slots=True)
class PoseSource:
    """The pose that each stream of a batch follows.

    Attributes:
        frame: Frames shown so far, [B], int64.
        live: Code of the newest live frame, [B, code].
        is_live: Whether the stream follows `live` and not its identity's clip, [B], bool.
    """

    frame: Tensor
    live: Tensor
    is_live: Tensor

    @classmethod
    def fresh(cls, batch: int, code: int) -> "PoseSource":
        """All streams at the start of their clips."""
        return cls(
            torch.zeros(batch, dtype=torch.int64), torch.zeros(batch, code), torch.zeros(batch, dtype=torch.bool)
        )

    def reset(self, rows: Tensor) -> None:
        """Back to the start of the clip where `rows` [B] (bool) is true, in place."""
        self.frame.masked_fill_(rows, 0)
        self.is_live.masked_fill_(rows, False)

    def follow(self, row: int, code: Tensor) -> None:
        """From now on a stream shows this code [code], until the next one or `reset`."""
        self.live[row] = code
        self.is_live[row] = True

    def next(self, clips: Sequence[Tensor]) -> Tensor:
        """Codes of the next frame, [B, code], from each stream's clip [frames, code]. Moves on in place."""
        frames = self.frame.tolist()
        recorded = [clip[back_and_forth(at, len(clip))] for clip, at in zip(clips, frames, strict=True)]
        self.frame += 1
        return torch.where(self.is_live[:, None], self.live, torch.stack(recorded))
