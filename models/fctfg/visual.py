"""FC-TFG's visual encoder: a face to the latents that StyleGAN2 would draw it from.

Source: Richardson et al., "Encoding in Style", CVPR 2021, section 3 (pSp); Deng et al., "ArcFace", CVPR 2019, for the
residual units, with squeeze and excitation; layers as systems.md, 3.2.
"""

from itertools import pairwise
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.modulated import EqualLinear
from models.fctfg.config import FctfgConfig

_LOWER_FACE: Final = (0.45, 0.85, 0.2, 0.8)
"""Top, bottom, left and right in the crop, 0 to 1."""
_SQUEEZE: Final = 16
_COARSE: Final = 3
_MIDDLE: Final = 4


def lower_face(frame_px: int) -> tuple[slice, slice]:
    """Rows and columns of the lower face in a crop: what the sync scorer sees and a driver does not show."""
    top, bottom, left, right = (round(frame_px * edge) for edge in _LOWER_FACE)
    return slice(top, bottom), slice(left, right)


def cover_mouths(faces: Tensor) -> Tensor:
    """Faces [..., 3, S, S] with the lower face grey: a driver's head and eyes are followed, lips follow the voice."""
    out = faces.clone()
    out[..., *lower_face(faces.shape[-1])] = 0.0
    return out


class SqueezeGate(nn.Module):
    """Channel gates from the channels' means, by 1 x 1 convolutions without bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // _SQUEEZE, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // _SQUEEZE, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the same shape."""
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class ResidualUnit(nn.Module):
    """Norm, 3 x 3, PReLU, strided 3 x 3, norm, gate; plus the input, subsampled or by a 1 x 1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if inputs != outputs:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            SqueezeGate(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        return self.res_layer(x) + self.shortcut_layer(x)


class IrSe(nn.Module):
    """The trunk: four stages, each halving the picture. Attribute names are those of the public ArcFace weights."""

    def __init__(self, widths: tuple[int, int, int, int], units: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.PReLU(widths[0])
        )
        body, self._ends, inputs = list[nn.Module](), list[int](), widths[0]
        for outputs, count in zip(widths, units, strict=True):
            for i in range(count):
                body.append(ResidualUnit(inputs, outputs, 2 if i == 0 else 1))
                inputs = outputs
            self._ends.append(len(body) - 1)
        self.body = nn.Sequential(*body)

    def forward(self, picture: Tensor) -> list[Tensor]:
        """[B, 3, H, W] to the last map of each stage, [B, widths[i], H / 2 ** (i + 1), ...]."""
        x, maps = self.input_layer(picture), list[Tensor]()
        for i, unit in enumerate(self.body):
            x = unit(x)
            if i in self._ends:
                maps.append(x)
        return maps


class StyleHead(nn.Module):
    """A map to one latent: halved by 3 x 3 convolutions, norm and leaky ReLU, until one pixel is left."""

    def __init__(self, inputs: int, outputs: int, side_px: int) -> None:
        super().__init__()
        layers = list[nn.Module]()
        for a, _ in pairwise([inputs, *[outputs] * (side_px.bit_length() - 1)]):
            layers += [nn.Conv2d(a, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.LeakyReLU()]
        self.convs, self.linear = nn.Sequential(*layers), EqualLinear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, side_px, side_px] to [B, outputs]."""
        return self.linear(self.convs(x).flatten(1))


class VisualEncoder(nn.Module):
    """A face to all its latents: three from the coarsest map, four from the middle one, the rest from the finest."""

    def __init__(self, config: FctfgConfig) -> None:
        super().__init__()
        widths = config.encoder_widths
        self.trunk = IrSe(widths, config.encoder_units)
        self.lateral_middle = nn.Conv2d(widths[2], widths[3], 1)
        self.lateral_fine = nn.Conv2d(widths[1], widths[3], 1)
        sides = [config.frame_px // 16] * _COARSE + [config.frame_px // 8] * _MIDDLE
        sides += [config.frame_px // 4] * (config.latents - _COARSE - _MIDDLE)
        self.heads = nn.ModuleList(StyleHead(widths[3], config.code, side) for side in sides)

    def forward(self, faces: Tensor) -> Tensor:
        """Faces [B, 3, frame_px, frame_px], RGB, -1 to 1, to latents [B, latents, code]."""
        return self.latents(self.trunk(faces))

    def latents(self, maps: list[Tensor]) -> Tensor:
        """The trunk's maps of faces to their latents."""
        _, fine, middle, coarse = maps
        middle = _raise(coarse, self.lateral_middle(middle))
        fine = _raise(middle, self.lateral_fine(fine))
        maps = [coarse] * _COARSE + [middle] * _MIDDLE + [fine] * (len(self.heads) - _COARSE - _MIDDLE)
        return torch.stack([head(x) for head, x in zip(self.heads, maps, strict=True)], 1)


def _raise(coarse: Tensor, lateral: Tensor) -> Tensor:
    size = (lateral.shape[2], lateral.shape[3])
    return F.interpolate(coarse, size=size, mode="bilinear", align_corners=True) + lateral
