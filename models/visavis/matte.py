"""Where in the frame the person is: hair and shoulders move with the head, what lies behind them stands still."""

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from models.visavis.landmarks import Residual, conv
from models.visavis.renderer import PHOTO_PX

MATTE_PX: Final = PHOTO_PX // 2
WEIGHTS: Final = Path(__file__).parent / "weights" / "matte.safetensors"
_WIDTHS: Final = (16, 24, 48, 64)
_DOUBT: Final = (0.1, 0.5)  # hair that the net half believes in is hair: as half a person it would shine through


class MatteNet(nn.Module):
    """A frame with its margin to the person's matte: a U-net (Ronneberger et al., MICCAI 2015), about 25 MMAC."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, *_WIDTHS)
        self.down = nn.ModuleList(
            nn.Sequential(conv(above, width, stride=2), Residual(width)) for above, width in pairwise(widths)
        )
        self.up = nn.ModuleList(
            nn.Sequential(conv(below + width, width), Residual(width)) for width, below in pairwise(_WIDTHS)
        )
        self.leave = nn.Conv2d(_WIDTHS[0], 1, 3, padding=1)

    def forward(self, frames: Tensor) -> Tensor:
        """Find the person.

        Args:
            frames: RGB, [B, 3, MATTE_PX, MATTE_PX], -1 to 1.

        Returns:
            Logits of the matte, [B, 1, MATTE_PX, MATTE_PX].
        """
        skips: list[Tensor] = []
        for block in self.down:
            frames = block(frames)
            skips.append(frames)
        out = skips.pop()
        for block in reversed(self.up):
            skip = skips.pop()
            out = block(torch.cat([F.interpolate(out, size=skip.shape[2:], mode="nearest"), skip], 1))
        return F.interpolate(self.leave(out), scale_factor=2.0, mode="bilinear", align_corners=False)


@cache
def load_matte(path: Path = WEIGHTS) -> MatteNet:
    """The trained net, ready to run; loaded once."""
    net = MatteNet()
    net.load_state_dict(load_file(path))
    return net.eval().requires_grad_(False)


@torch.no_grad()
def matte(photo: Tensor) -> Tensor:
    """The person's matte.

    Args:
        photo: Frames with their margins, RGB, [B, 3, 320 d, 320 d], -1 to 1.

    Returns:
        [B, 1, MATTE_PX, MATTE_PX], 0 (behind) to 1 (the person), of the same square.
    """
    small = F.interpolate(photo, size=(MATTE_PX, MATTE_PX), mode="bilinear", antialias=True, align_corners=False)
    unsure, sure = _DOUBT
    return ((load_matte()(small).sigmoid() - unsure) / (sure - unsure)).clamp(0.0, 1.0)
