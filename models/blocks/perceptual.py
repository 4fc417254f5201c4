"""Perceptual distance: L1 between features that VGG-19 has of two pictures."""

from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.checkpoint import load_published, read_checkpoint, tensors_in
from models.errors import CheckpointError

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
_STAND_IN_WIDTH: Final = 16
_STAND_IN_SEED: Final = 19


class Vgg19(nn.Module):
    """The first thirteen convolutions of VGG-19 and the five maps that perceptual losses read.

    Attribute names are torchvision's. Source: Simonyan and Zisserman, ICLR 2015, table 1, column E.

    Args:
        width: Channels of the first stage; 64 as published.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = [width * m for m in (1, 2, 4, 8, 8)]
        layers: list[nn.Module] = []
        inputs = 3
        self._read = list[int]()
        for outputs, convs in zip(widths, (2, 2, 4, 4, 1), strict=True):
            if layers:
                layers.append(nn.MaxPool2d(2))
            self._read.append(len(layers) + 1)
            for _ in range(convs):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
        self.features = nn.Sequential(*layers)

    @classmethod
    def load(cls, path: Path) -> "Vgg19":
        """The published network from torchvision's `vgg19-*.pth`, frozen.

        Raises:
            CheckpointError: If the file holds something else.
        """
        net = cls()
        report = load_published(net, tensors_in(read_checkpoint(path)), {"features": "features"})
        if report.missing:
            raise CheckpointError(f"{path.name} without {report.missing[0]}", "torchvision's VGG-19")
        return net.eval().requires_grad_(False)

    @classmethod
    def stand_in(cls) -> "Vgg19":
        """A quarter of the width with fixed random weights, frozen: for training without the published file.

        Random convolutions still compare edges and textures over growing neighbourhoods, but know no objects.
        """
        net, random = cls(_STAND_IN_WIDTH), torch.Generator().manual_seed(_STAND_IN_SEED)
        for layer in net.features:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=random)
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType] - these have one
        return net.eval().requires_grad_(False)

    def forward(self, picture: Tensor) -> list[Tensor]:
        """[B, 3, H, W] to relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1."""
        maps, x = list[Tensor](), picture
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self._read:
                maps.append(x)
        return maps


class PerceptualLoss(nn.Module):
    """Weighted L1 between `Vgg19` maps, over several sizes of the picture.

    Args:
        vgg: `Vgg19.load(path)`, `Vgg19.stand_in()`, or whatever else gives five maps of a picture.
        weights: Of the five maps.
        sizes: Of the pictures, as powers of one half.
        normalise: Whether -1 to 1 is first brought to ImageNet's mean and deviation. PC-AVS does not.
    """

    def __init__(
        self, vgg: nn.Module, weights: tuple[float, ...], *, sizes: tuple[int, ...] = (0,), normalise: bool
    ) -> None:
        super().__init__()
        self.vgg, self.weights, self.sizes, self.normalise = vgg, weights, sizes, normalise
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def forward(self, drawn: Tensor, real: Tensor) -> Tensor:
        """Distance of pictures [B, 3, H, W], -1 to 1; no gradient reaches `real`."""
        if self.normalise:
            drawn, real = (((x + 1.0) / 2.0 - self.mean) / self.std for x in (drawn, real))
        total = drawn.new_zeros(())
        for size in self.sizes:
            x, y = (F.avg_pool2d(picture, 2**size) for picture in (drawn, real.detach()))
            for weight, a, b in zip(self.weights, self.vgg(x), self.vgg(y), strict=True):
                total = total + weight * F.l1_loss(a, b)
        return total
