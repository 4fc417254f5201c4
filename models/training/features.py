"""SqueezeNet features for the training loss. The weights are a path the user gives; they are never shipped."""

from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.perceptual import IMAGENET_MEAN, IMAGENET_STD

_MEAN_BGR: Final = (104.0, 117.0, 123.0)
_FIRES: Final = ("fire2", "fire3", "pool", "fire4", "fire5")
_TAPS: Final = (1, 2, 4)
"""The maps that `SqueezeFeatures.distance` compares: fire2, fire3, fire5."""


class SqueezeFeatures(nn.Module):
    """The first half of SqueezeNet 1.1 (Iandola et al., arXiv:1602.07360), frozen, on levels 0 to 255 in BGR."""

    def __init__(self, weights: dict[str, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        for name, (kernel, bias) in weights.items():
            self.register_buffer(f"{name}_kernel", kernel, persistent=False)
            self.register_buffer(f"{name}_bias", bias, persistent=False)

    @classmethod
    def load(cls, path: Path) -> "SqueezeFeatures":
        """Read the Keras file `squeezenet_v1.1_notop` (HDF5; needs h5py from the `train` extra)."""
        import h5py

        arrays: dict[str, Tensor] = {}

        def take(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset):
                block, *rest = name.split("/")
                arrays[f"{block}{rest[0] if len(rest) > 2 else ''}/{rest[-1]}"] = torch.from_numpy(np.asarray(item))

        with h5py.File(path) as file:
            file.visititems(take)
        layers = [name.removesuffix("/kernel:0") for name in arrays if name.endswith("/kernel:0")]
        return cls(
            {n: (arrays[n + "/kernel:0"].permute(3, 2, 0, 1).contiguous(), arrays[n + "/bias:0"]) for n in layers}
        )

    def distance(self, image: Tensor, truth: Tensor) -> Tensor:
        """Mean absolute difference of unit-length features over three layers, a scalar.

        Args:
            image: [B, 3, H, W], -1 to 1; gets the gradient.
            truth: The same shape.
        """
        with torch.no_grad():
            wanted = self.maps(truth)
        got = self.maps(image)
        return torch.stack([(got[tap] - wanted[tap]).abs().sum(1).mean() for tap in _TAPS]).mean()

    def maps(self, image: Tensor) -> list[Tensor]:
        """conv1, fire2, fire3, fire4 and fire5 of pictures [B, 3, H, W], -1 to 1; a place's features have length 1."""
        levels = (image.flip(1) + 1.0) * 127.5 - image.new_tensor(_MEAN_BGR)[:, None, None]
        x = F.relu(self._conv("conv1", levels, stride=2))
        maps = [F.normalize(x, dim=1)]
        x = F.max_pool2d(x, 3, 2)
        for name in _FIRES:
            if name == "pool":
                x = F.max_pool2d(x, 3, 2)
                continue
            squeezed = F.relu(self._conv(name + "squeeze1x1", x))
            wide = self._conv(name + "expand3x3", squeezed, padding=1)
            x = F.relu(torch.cat([self._conv(name + "expand1x1", squeezed), wide], 1))
            maps.append(F.normalize(x, dim=1))
        return maps

    def _conv(self, name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        kernel, bias = self.get_buffer(f"{name}_kernel"), self.get_buffer(f"{name}_bias")
        return F.conv2d(x, kernel, bias, stride, padding)


class SqueezeJudge(nn.Module):
    """SqueezeNet in place of `models.blocks.perceptual.Vgg19`: five maps, a fiftieth of the work, frozen."""

    def __init__(self, features: SqueezeFeatures) -> None:
        super().__init__()
        self._features = features
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, picture: Tensor) -> list[Tensor]:
        """Pictures [B, 3, H, W], of ImageNet's mean and deviation, to maps; a place's root mean square is 1."""
        maps = self._features.maps(2 * (picture * self.std + self.mean) - 1)
        return [x.shape[1] ** 0.5 * x for x in maps]
