"""Where the 478 points of the face mesh lie in a photo: a small conv net, run twice.

The points are numbered as in MediaPipe's face mesh with irises, whose answers the net was trained on. The net looks at
a square crop. Its first answer, from a detector's rough box, says how to cut the second crop: turned upright, centred
and scaled to the mean face. The second answer is the one to keep.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

POINTS: Final = 478
CROP_PX: Final = 128
WEIGHTS: Final = Path(__file__).parent / "weights" / "landmarks.safetensors"

INNER_LIPS: Final = (
    *(78, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(308, 324, 318, 402, 317, 14, 87, 178, 88, 95),
)
OUTER_LIPS: Final = (
    *(61, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(291, 375, 321, 405, 314, 17, 84, 181, 91, 146),
)
RIGHT_EYELIDS: Final = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
"""The person's right eye, which a viewer sees on the left: outer corner, upper lid, inner corner, lower lid."""
LEFT_EYELIDS: Final = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
IRISES: Final = tuple(range(468, 478))
LIP_GAPS: Final = ((80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318))
"""Points of the inner lips that meet when the mouth is closed, upper first."""
EYE_GAPS: Final = ((160, 144), (159, 145), (158, 153), (385, 380), (386, 374), (387, 373))
"""Points of the lids that meet when the eye is closed, upper first."""


@dataclass(frozen=True)
class Placement:
    """A square crop in a photo, turned and scaled but never sheared or mirrored.

    Attributes:
        turn: One side of the crop as a complex number, photo px: its length is the side, its angle the turn.
        corner: Where the crop's top left corner lies, photo px, x + iy.
    """

    turn: complex
    corner: complex

    @classmethod
    def upright(cls, centre_x_px: float, centre_y_px: float, side_px: float) -> "Placement":
        """The unturned crop about a centre."""
        return cls(complex(side_px), complex(centre_x_px - side_px / 2, centre_y_px - side_px / 2))

    @property
    def side_px(self) -> float:
        """Side of the crop in photo pixels."""
        return abs(self.turn)

    @property
    def roll_deg(self) -> float:
        """Clockwise turn of the crop as a viewer sees the photo."""
        return float(np.degrees(np.angle(self.turn)))

    def to_photo(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points [..., 2] from crop units (0 to 1 from edge to edge) to photo pixels."""
        return _split(_join(points) * self.turn + self.corner)

    def to_crop(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points [..., 2] from photo pixels to crop units."""
        return _split((_join(points_px) - self.corner) / self.turn)


def _join(points: NDArray[np.float64]) -> NDArray[np.complex128]:
    return points[..., 0] + 1j * points[..., 1]


def _split(points: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.stack([points.real, points.imag], axis=-1)


def align(shape: NDArray[np.float64], points_px: NDArray[np.float64]) -> Placement:
    """The crop in which a face lies as nearly as it can like `shape`, by least squares.

    Args:
        shape: Points in crop units, [P, 2].
        points_px: The same points in a photo, [P, 2].
    """
    source, target = _join(shape), _join(points_px)
    source_mean, target_mean = complex(source.mean()), complex(target.mean())
    source = source - source_mean
    turn = complex(np.vdot(source, target - target_mean) / np.vdot(source, source).real)
    return Placement(turn, target_mean - turn * source_mean)


def cut(photo: NDArray[np.uint8], place: Placement, size_px: int = CROP_PX) -> Tensor:
    """Cut a crop out of a photo; beyond the photo its edge is repeated.

    Args:
        photo: RGB, [H, W, 3], uint8.
        place: Where to cut.
        size_px: Side of the crop.

    Returns:
        [1, 3, size_px, size_px], float32, -1 to 1.
    """
    reach = place.side_px * 0.75
    centre = place.corner + place.turn * (0.5 + 0.5j)
    left, top = (int(np.floor(v - reach)) for v in (centre.real, centre.imag))
    right, bottom = (int(np.ceil(v + reach)) for v in (centre.real, centre.imag))
    columns = np.arange(left, right).clip(0, photo.shape[1] - 1)
    rows = np.arange(top, bottom).clip(0, photo.shape[0] - 1)
    around = torch.from_numpy(photo[rows[:, None], columns]).permute(2, 0, 1)[None].float()
    # shrink before sampling: bilinear reads four pixels and would alias
    shrink = max(1.0, place.side_px / size_px)
    height, width = (max(2, round(n / shrink)) for n in around.shape[2:])
    around = F.interpolate(around, size=(height, width), mode="bilinear", antialias=True, align_corners=False)
    steps = (np.arange(size_px) + 0.5) / size_px
    grid = place.to_photo(np.stack(np.meshgrid(steps, steps), axis=-1))
    grid = (grid - (left, top)) / (right - left, bottom - top) * 2 - 1
    sampled = F.grid_sample(
        around, torch.from_numpy(grid).float()[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled / 127.5 - 1


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut: [B, C, H, W] to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(channels, channels), nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class LandmarkNet(nn.Module):
    """Face crop to mesh points, about 90 MMAC.

    Attributes:
        mean_shape: Mean face in crop units, [478, 2]: what the net's answer is added to and what crops are aligned to.
        mirror: For each point its partner in the mirrored face, [478], int16.
    """

    mean_shape: Tensor
    mirror: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            conv(3, 24, stride=2),
            conv(24, 40, stride=2),
            Residual(40),
            conv(40, 80, stride=2),
            Residual(80),
            conv(80, 144, stride=2),
            Residual(144),
            nn.Conv2d(144, 32, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
        )
        self.hidden = nn.Linear(32 * (CROP_PX // 16) ** 2, 256)
        self.offsets = nn.Linear(256, POINTS * 2)
        self.register_buffer("mean_shape", torch.full((POINTS, 2), 0.5))
        self.register_buffer("mirror", torch.arange(POINTS, dtype=torch.int16))

    def forward(self, crops: Tensor) -> Tensor:
        """Find the points.

        Args:
            crops: RGB, [B, 3, CROP_PX, CROP_PX], float32, -1 to 1.

        Returns:
            Points x, y in crop units (0 to 1 from edge to edge), [B, 478, 2], float32.
        """
        features = F.relu(self.hidden(self.trunk(crops).flatten(1)))
        return self.mean_shape + self.offsets(features).unflatten(1, (POINTS, 2))

    def unmirrored(self, points: Tensor) -> Tensor:
        """Points [..., 478, 2] of a mirrored crop as points of the crop itself, and back again."""
        partners = points[..., self.mirror.long(), :]
        return torch.stack([1 - partners[..., 0], partners[..., 1]], dim=-1)


@cache
def load_net(path: Path = WEIGHTS) -> LandmarkNet:
    """The trained net in float32, ready to run; loaded once."""
    net = LandmarkNet()
    net.load_state_dict(load_file(path))
    return net.eval().requires_grad_(False)


@torch.inference_mode()
def locate(net: LandmarkNet, photo: NDArray[np.uint8], place: Placement) -> NDArray[np.float64]:
    """Look once at a crop and at its mirror image, and take the mean.

    Args:
        net: The trained net.
        photo: RGB, [H, W, 3], uint8.
        place: Crop to look at.

    Returns:
        Mesh points x, y in photo pixels, [478, 2]; they may lie outside the photo.
    """
    crop = cut(photo, place)
    points, mirrored = net(torch.cat([crop, crop.flip(3)]))
    points = (points + net.unmirrored(mirrored)) / 2
    return place.to_photo(points.double().numpy())


def locate_twice(
    net: LandmarkNet, photo: NDArray[np.uint8], place: Placement
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Look at a rough crop, then at the crop that the first answer asks for.

    Returns:
        First and second answer, each as from `locate`.
    """
    first = locate(net, photo, place)
    return first, locate(net, photo, align(net.mean_shape.double().numpy(), first))
