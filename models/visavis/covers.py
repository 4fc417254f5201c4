"""Whether something hides the eyes or the mouth: a very small conv net on the aligned crop of a face."""

from functools import cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import PhotoError, PhotoReason
from models.visavis.landmarks import Placement, cut

LOOK_PX: Final = 64
PARTS: Final[tuple[Literal["eyes", "mouth"], ...]] = ("eyes", "mouth")
MAX_BELIEF: Final = 0.5
"""Of portraits never trained on: 6 of 308 clear ones refused, 107 of 122 covered eyes, 19 of 26 covered mouths."""
WEIGHTS: Final = Path(__file__).parent / "weights" / "covers.safetensors"

_ADVICE: Final[dict[str, tuple[PhotoReason, str]]] = {
    "eyes": (
        "eyes_covered",
        "the eyes are covered: take off sunglasses, move hands and hair away, send a photo that shows both eyes",
    ),
    "mouth": (
        "mouth_covered",
        "the mouth is covered: take off a mask, move hands and things away, send a photo that shows the lips",
    ),
}


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class CoverNet(nn.Module):
    """Aligned face crop to beliefs that eyes and mouth are covered; about 6 MMAC."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            _conv(3, 16, 2), _conv(16, 32, 2), _conv(32, 32, 1), _conv(32, 48, 2), _conv(48, 48, 1), nn.Conv2d(48, 8, 1)
        )
        self.head = nn.Sequential(nn.Linear(8 * (LOOK_PX // 8) ** 2, 32), nn.ReLU(inplace=True), nn.Linear(32, 2))

    def forward(self, looks: Tensor) -> Tensor:
        """Judge.

        Args:
            looks: RGB, [B, 3, LOOK_PX, LOOK_PX], float32, -1 to 1.

        Returns:
            Logits, one for each of `PARTS`, [B, 2]; above 0: more likely covered than not.
        """
        return self.head(self.trunk(looks).flatten(1))


@cache
def load_cover_net(path: Path = WEIGHTS) -> CoverNet:
    """The trained net in float32, ready to run; loaded once."""
    net = CoverNet()
    net.load_state_dict(load_file(path))
    return net.eval().requires_grad_(False)


def shrink(crops: Tensor) -> Tensor:
    """Crops [B, 3, CROP_PX, CROP_PX] as the net sees them, [B, 3, LOOK_PX, LOOK_PX]."""
    return F.interpolate(crops, size=(LOOK_PX, LOOK_PX), mode="area")


@torch.inference_mode()
def covered(net: CoverNet, crops: Tensor) -> Tensor:
    """How surely each of `PARTS` is covered, mean over a crop and its mirror image.

    Args:
        net: The trained net.
        crops: Aligned crops as from `landmarks.cut`, [B, 3, CROP_PX, CROP_PX], -1 to 1.

    Returns:
        [B, 2], 0 to 1.
    """
    looks = shrink(crops)
    return torch.sigmoid((net(looks) + net(looks.flip(3))) / 2)


def check_uncovered(photo: NDArray[np.uint8], place: Placement) -> None:
    """Refuse a face with covered eyes or mouth: the covers would be painted onto lids and lips.

    Args:
        photo: RGB, [H, W, 3], uint8.
        place: The aligned crop of the face.

    Raises:
        PhotoError: eyes_covered or mouth_covered, with what to do about it.
    """
    for part, belief in zip(PARTS, covered(load_cover_net(), cut(photo, place))[0].tolist(), strict=True):
        if belief > MAX_BELIEF:
            raise PhotoError(*_ADVICE[part])
