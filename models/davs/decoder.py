"""DAVS's decoder: a person and a word code to a face, in two parts: what depends on the person alone, and the rest."""

from dataclasses import dataclass
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.davs.config import DavsConfig
from models.davs.identity import Person

_Conv = TypeVar("_Conv", nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True)
class Painted:
    """What the decoder can compute of a person before any word is known.

    Attributes:
        seed: The person's share of the first transposed convolution, bias included, [B, C, 4, 4].
        joined: The person's share of the first convolution that sees their map, bias included, [B, C, S / 8, S / 8].
    """

    seed: Tensor
    joined: Tensor


class Round(nn.Module):
    """Convolutions of one size, each normalised and rectified."""

    def __init__(self, inputs: int, outputs: int, count: int) -> None:
        super().__init__()
        widths = [inputs] + [outputs] * (count - 1)
        self.convs = nn.ModuleList(nn.Conv2d(width, outputs, 3, padding=1) for width in widths)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(count))
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.get_parameter("weight"), mode="fan_out")
            nn.init.zeros_(conv.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H, W]."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)), inplace=True)
        return x

    def joining(self, x: Tensor, share: Tensor) -> Tensor:
        """`forward` where the first convolution's other inputs have already given their `share` of its output."""
        weight = cast(nn.Conv2d, self.convs[0]).weight[:, -x.shape[1] :]
        x = F.relu(self.norms[0](F.conv2d(x, weight, padding=1) + share), inplace=True)
        for conv, norm in zip(self.convs[1:], self.norms[1:], strict=True):
            x = F.relu(norm(conv(x)), inplace=True)
        return x


class Decoder(nn.Module):
    """Codes to a seed of 4 px, then rounds of convolutions, each doubled in size.

    Doubling is bilinear with aligned corners, as PyTorch did before 0.4: the published weights know it.
    """

    def __init__(self, config: DavsConfig) -> None:
        super().__init__()
        widths = [width for width, _ in config.rounds]
        self.seed = nn.ConvTranspose2d(2 * config.code, widths[0], 4)
        self.seed_norm: nn.Module = nn.BatchNorm2d(widths[0])
        self._code, self._join = config.code, len(widths) - 3
        self.rounds = nn.ModuleList()
        for number, (width, count) in enumerate(config.rounds):
            inputs = widths[max(number - 1, 0)] + (config.stages[1][-1] if number == self._join else 0)
            self.rounds.append(Round(inputs, width, count))
        self.last1: nn.Conv2d | nn.ConvTranspose2d = nn.ConvTranspose2d(widths[-1], config.last, 3, padding=1)
        self.last1_norm: nn.Module = nn.BatchNorm2d(config.last)
        self.last2: nn.Conv2d | nn.ConvTranspose2d = nn.ConvTranspose2d(config.last, 3, 3, padding=1)

    def forward(self, person: Person, words: Tensor) -> Tensor:
        """Faces [B, 3, S, S], 0 (black) to 1 (white), of persons that say the words [B, code]."""
        return self.speak(self.paint(person), words)

    def paint(self, person: Person) -> Painted:
        """The part that is the same for every frame of a person. Exact: both layers are linear in what they join."""
        pid = person.code[:, :, None, None]
        first = cast(nn.Conv2d, self._joining().convs[0])
        weight = first.weight[:, : person.map.shape[1]]
        return Painted(
            seed=F.conv_transpose2d(pid, self.seed.weight[: self._code], self.seed.bias),
            joined=F.conv2d(person.map, weight, first.bias, padding=1),
        )

    def speak(self, painted: Painted, words: Tensor) -> Tensor:
        """Faces [B, 3, S, S], 0 to 1, of painted persons that say the words [B, code]."""
        spoken = F.conv_transpose2d(words[:, :, None, None], self.seed.weight[self._code :])
        x = F.relu(self.seed_norm(painted.seed + spoken), inplace=True)
        for number, layer in enumerate(self.rounds):
            x = self._joining().joining(x, painted.joined) if number == self._join else layer(x)
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        x = self.last2(F.relu(self.last1_norm(self.last1(x)), inplace=True))
        return (torch.tanh(x) + 1) / 2

    def fuse(self) -> "Decoder":
        """Fold every normalisation into the convolution before it, in place: the same faces, for `eval` only.

        Transposed convolutions of stride 1 become plain ones, which are faster.
        """
        self.seed = _fused(self.seed, self.seed_norm)
        assert isinstance(self.last1, nn.ConvTranspose2d), "fused before"
        self.last1, self.last2 = _plain(_fused(self.last1, self.last1_norm)), _plain(self.last2)
        self.seed_norm, self.last1_norm = nn.Identity(), nn.Identity()
        for layer in self.rounds:
            assert isinstance(layer, Round)
            pairs = zip(layer.convs, layer.norms, strict=True)
            layer.convs = nn.ModuleList(_fused(cast(nn.Conv2d, conv), norm) for conv, norm in pairs)
            layer.norms = nn.ModuleList(nn.Identity() for _ in layer.convs)
        return self

    def _joining(self) -> Round:
        layer = self.rounds[self._join]
        assert isinstance(layer, Round)
        return layer


def _fused(conv: _Conv, norm: nn.Module) -> _Conv:
    assert isinstance(norm, nn.BatchNorm2d), "fused before"
    return fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, nn.ConvTranspose2d))


def _plain(conv: nn.Conv2d | nn.ConvTranspose2d) -> nn.Conv2d:
    """The convolution that does what a transposed one of stride 1 and kernel 3, padded by 1, does."""
    assert isinstance(conv, nn.ConvTranspose2d), "fused before"
    plain = nn.Conv2d(conv.in_channels, conv.out_channels, 3, padding=1)
    plain.weight = nn.Parameter(conv.weight.transpose(0, 1).flip(2, 3).contiguous(), conv.weight.requires_grad)
    plain.bias = conv.bias
    return plain
