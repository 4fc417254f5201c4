"""The modulated convolutions of StyleGAN2, and the layers made of them.

Modulating and demodulating scale the input channels and the output channels of a convolution. So the scales may be
applied to the activations, and every row of a batch runs through one shared weight: the result is that of the
published form, which makes a weight for each row, up to rounding (that form is in the tests).
Attribute names are those of the published checkpoints.

Source:
    Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, section 2.2, equations 1 to 3.
"""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE: Final = 0.2
GAIN: Final = math.sqrt(2.0)
_DEMODULATION_EPS: Final = 1e-8


class EqualLinear(nn.Module):
    """Linear layer whose weight is kept at unit variance and scaled by 1 / sqrt(inputs) when used."""

    def __init__(self, inputs: int, outputs: int, bias_init: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.full((outputs,), bias_init))
        self.scale = 1.0 / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] to [..., outputs]."""
        return F.linear(x, self.weight * self.scale, self.bias)


class EqualConv2d(nn.Module):
    """Convolution whose weight is kept at unit variance and scaled by 1 / sqrt(fan-in) when used."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, *, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = 1.0 / math.sqrt(inputs * kernel**2)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] to [B, outputs, H', W']."""
        return F.conv2d(x, self.weight * self.scale, self.bias, self.stride, self.padding)


def fir(gain: float = 1.0) -> Tensor:
    """The separable low-pass [1, 3, 3, 1] as a [4, 4] kernel whose taps sum to `gain`."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(taps, taps)
    return kernel / kernel.sum() * gain


class Blur(nn.Module):
    """Low-pass each channel, with `pad` zeros on all four sides."""

    def __init__(self, pad: int, gain: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("kernel", fir(gain))
        self.kernel: Tensor
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, H + 2 pad - 3, W + 2 pad - 3]."""
        return F.conv2d(x, _each_channel(self.kernel.flip(0, 1), x), padding=self.pad, groups=x.shape[1])


class Upsample(nn.Module):
    """Twice the size: zeros between the pixels, then the low-pass with gain 4, pads 2 and 1."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", fir(4.0))
        self.kernel: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, 2 H, 2 W]."""
        # a transposed convolution inserts the zeros itself; padding 1 cuts what the pads 2 and 1 would not have made
        return F.conv_transpose2d(x, _each_channel(self.kernel, x), stride=2, padding=1, groups=x.shape[1])


def _each_channel(kernel: Tensor, x: Tensor) -> Tensor:
    """A kernel [4, 4] as the weight of a depthwise convolution of x; an expanded one is five times as slow."""
    return kernel.expand(x.shape[1], 1, 4, 4).contiguous()


class FusedLeakyReLU(nn.Module):
    """Add a bias, leaky ReLU with slope 0.2, times sqrt(2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the same shape."""
        raised = torch.add(self.bias.to(x.dtype) * GAIN, x, alpha=GAIN)  # a gain above 0 may as well come first
        return F.leaky_relu(raised, SLOPE, inplace=True)


class ModulatedConv2d(nn.Module):
    """Convolution whose input channels a style scales, and whose output is brought back to unit variance.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel: 1 or 3.
        style_dim: Length of the latent that `modulation` turns into input scales (bias starts at 1).
        demodulate: Divide by the root of the summed squares of the scaled weight.
        upsample: Twice the size, as a transposed convolution of stride 2 and a low-pass.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        style_dim: int,
        *,
        demodulate: bool = True,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel))
        self.modulation = EqualLinear(style_dim, inputs, bias_init=1.0)
        self.blur = Blur(1, gain=4.0) if upsample else None
        self.scale = 1.0 / math.sqrt(inputs * kernel**2)
        self.demodulate, self.padding = demodulate, kernel // 2
        self.register_buffer("power", None, persistent=False)
        self.power: Tensor | None

    def settle(self) -> None:
        """Lay the weight out as a CPU reads it fastest and work out what depends on it alone, in place."""
        weight, back = self.weight.data[0], self.blur is not None  # a transposed convolution swaps inputs and outputs
        weight = (weight.transpose(0, 1) if back else weight).contiguous(memory_format=torch.channels_last)
        self.weight.data = (weight.transpose(0, 1) if back else weight)[None]
        self.power = self._squares() if self.demodulate else None

    def _squares(self) -> Tensor:
        """The weight's energy, [outputs, inputs]."""
        return self.weight[0].square().sum((2, 3))

    def forward(self, x: Tensor, scales: Tensor) -> Tensor:
        """Convolve with the input channels scaled.

        Args:
            x: [B, inputs, H, W].
            scales: What `modulation` gives for the latent, [B, inputs].

        Returns:
            [B, outputs, H, W], or of twice the size.
        """
        weight, scales = self.weight[0], scales * self.scale
        x = x * scales[:, :, None, None].to(x.dtype)
        if self.blur is not None:
            y = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        else:
            y = F.conv2d(x, weight, padding=self.padding)
        if self.demodulate:
            power = self._squares() if self.power is None else self.power
            energy = scales.square() @ power.t()  # [B, outputs]
            y = y * torch.rsqrt(energy + _DEMODULATION_EPS)[:, :, None, None].to(y.dtype)
        return self.blur(y) if self.blur is not None else y


class NoiseInjection(nn.Module):
    """One learned gain for the noise of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """[B, C, H, W] plus the gain times `noise`, [1 or B, 1, H, W]; None adds nothing."""
        return x if noise is None else x + (self.weight * noise).to(x.dtype)


class StyledConv(nn.Module):
    """Modulated 3 x 3 convolution, noise, activation."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, *, upsample: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, 3, style_dim, upsample=upsample)
        self.noise = NoiseInjection()
        self.activate = FusedLeakyReLU(outputs)

    def forward(self, x: Tensor, scales: Tensor, noise: Tensor | None) -> Tensor:
        """[B, inputs, H, W] under `scales` [B, inputs] to [B, outputs, H, W] or twice that size."""
        return self.activate(self.noise(self.conv(x, scales), noise))


class ToRGB(nn.Module):
    """Modulated 1 x 1 convolution to three channels, without demodulation, on top of the coarser picture."""

    def __init__(self, inputs: int, style_dim: int, *, upsample: bool = True) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = Upsample() if upsample else None

    def forward(self, x: Tensor, scales: Tensor, skip: Tensor | None) -> Tensor:
        """[B, inputs, H, W] and the picture of half the size so far (None at the start) to [B, 3, H, W]."""
        y = self.conv(x, scales) + self.bias
        return y if skip is None or self.upsample is None else y + self.upsample(skip)
