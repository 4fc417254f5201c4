"""How far drawn faces are from the real ones before any critic is asked, in the crop of PC-AVS and FC-TFG: ours.

A critic that judges four persons at a time does not teach what faces look like. Each of these two systems first
draws many persons with these losses alone.
"""

from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.lip_motion import less_mean
from models.blocks.perceptual import PerceptualLoss
from models.blocks.vox_crop import enlarged_mouths

_MOUTH_PX: Final = 96
_L1: Final = 10.0
_MOTION: Final = 2.0


class FaceLikeness(nn.Module):
    """L1 and perceptual distance of faces, and both of mouths, which are a few rows of a small picture.

    Args:
        judge: Five maps of a picture: see `PerceptualLoss`.
    """

    def __init__(self, judge: nn.Module) -> None:
        super().__init__()
        self._perceptual = PerceptualLoss(judge, (1.0,) * 5, normalise=True)

    def forward(self, drawn: Tensor, real: Tensor) -> dict[str, Tensor]:
        """Weighted losses of clips [B, T, 3, S, S], RGB, -1 to 1.

        What is perceived is each clip's first frame, half of the work.
        """
        return {
            "l1": _L1 * F.l1_loss(drawn, real),
            "perceptual": self._perceptual(drawn[:, 0], real[:, 0]),
            "mouth": self.mouth(drawn[:, 0], real[:, 0]),
            "motion": self.motion(drawn, real),
        }

    def motion(self, drawn: Tensor, real: Tensor) -> Tensor:
        """How mouths of clips differ from their clip's mean: squared error against that of mouths that stand still.

        L1 of faces is mostly how blurred they are as a whole, and lips that stand still cost little beside it. Squares,
        since L1 draws the median, and most of the time lips hardly move: they moved half as far as they should.
        """
        moved = _moved(real)
        return _MOTION * F.mse_loss(_moved(drawn), moved) / moved.square().mean()

    def mouth(self, drawn: Tensor, real: Tensor) -> Tensor:
        """Perceptual distance of the mouths of faces [B, 3, S, S], RGB, -1 to 1."""
        return self._perceptual(_mouths(drawn), _mouths(real))


def _mouths(faces: Tensor) -> Tensor:
    return enlarged_mouths(faces, _MOUTH_PX)


def _moved(clips: Tensor) -> Tensor:
    return less_mean(_mouths(clips.flatten(0, 1)).unflatten(0, clips.shape[:2]))
