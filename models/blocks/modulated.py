"""The modulated-convolution generator of StyleGAN2, as PC-AVS and FC-TFG use it, and LIA's flow on top of it.

Modulating and demodulating scale the input channels and the output channels of a convolution. So the scales may be
applied to the activations, and every row of a batch runs through one shared weight: the result is that of the
published form, which makes a weight for each row, up to rounding (that form is in the tests).
Attribute names are those of the published checkpoints.

Source:
    Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, section 2.2, equations 1 to 3.
    Wang et al., "Latent Image Animator", ICLR 2022, section 3.1 (`ToFlow`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks.warp import identity_grid, warp

NoisePolicy = Literal["off", "fixed", "random"]
"""Noise added before each activation: none, the stored maps (no flicker), or drawn anew for each frame and row (what
PC-AVS publishes)."""

SLOPE: Final = 0.2
GAIN: Final = math.sqrt(2.0)
_DEMODULATION_EPS: Final = 1e-8
_REACH: Final = 0.25
"""How far a flow can point, as a share of half the picture. LIA's reaches all of it."""


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
        return F.leaky_relu(x + self.bias.to(x.dtype), SLOPE) * GAIN


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
            energy = scales.square() @ weight.square().sum((2, 3)).t()  # [B, outputs]
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


class ToFlow(nn.Module):
    """Modulated 1 x 1 convolution to a flow and a mask, on top of the coarser ones: what is carried from a source.

    LIA's, but that the flow begins as the identity, has a shorter reach and stays within the picture, and that pictures
    are drawn from what `forward` returns, not from the carried features alone: no source shows what a shut mouth hides.
    """

    def __init__(self, inputs: int, style_dim: int) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, 3, 1, style_dim, demodulate=False)
        nn.init.zeros_(self.conv.weight)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = Upsample()

    def forward(self, x: Tensor, scales: Tensor, carried: Tensor, coarser: Tensor | None) -> tuple[Tensor, Tensor]:
        """Replace a share of the generator's features by the source's, from where the flow points.

        Args:
            x: [B, inputs, H, W].
            scales: Of the inputs, [B, inputs].
            carried: The source's features, shape of `x`.
            coarser: Second answer of half the size; None at first.

        Returns:
            The features to go on with, and flow and mask before they are squashed, [B, 3, H, W].
        """
        out = self.conv(x, scales) + self.bias
        if coarser is not None:
            out = out + self.upsample(coarser)
        flow, shown = out.float().split((2, 1), 1)
        grid = identity_grid(tuple(x.shape[2:]), flow) + _REACH * flow.tanh().permute(0, 2, 3, 1)
        moved = warp(carried.float(), grid.clamp(-1.0, 1.0), align_corners=True)
        return torch.lerp(x, moved.to(x.dtype), shown.sigmoid().to(x.dtype)), out


class Carrier(nn.Module):
    """What a generator may carry over from a source, as wide as its layers: nothing where its config says so.

    Args:
        channels: Of the source itself and of an encoder's maps of it, each half the size of the one before.
        config: The generator's.
    """

    def __init__(self, channels: Sequence[int], config: "GeneratorConfig") -> None:
        super().__init__()
        widths = config.widths[:0:-1] if config.carries else ()
        if len(widths) > len(channels):
            raise ValueError(f"got {len(widths)} doublings to carry features to, want at most {len(channels)}")
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(channels, widths, strict=False))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Pictures [B, channels[0], S, S] and the maps of them to what `synthesize` carries, coarse to fine."""
        return [conv(x) for conv, x in zip(self.convs, maps, strict=False)][::-1]


class ConstantInput(nn.Module):
    """The learned map that a generator without a given start begins with."""

    def __init__(self, channels: int, size_px: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, size_px, size_px))


@dataclass(frozen=True)
class GeneratorConfig:
    """Size of a `ModulatedGenerator`.

    Attributes:
        style_dim: Length of each latent.
        start_px: Side of the start map.
        widths: Channels at the start and after each doubling: the picture's side is `start_px * 2 ** (len - 1)`.
        constant_start: Whether the start map is learned; otherwise the caller gives it.
        tanh: Whether the picture is squashed to -1 to 1.
        carries: Whether a source's features are carried over after each doubling, see `ToFlow`.
    """

    style_dim: int
    start_px: int
    widths: tuple[int, ...]
    constant_start: bool
    tanh: bool
    carries: bool = False

    @property
    def frame_px(self) -> int:
        """Side of the picture."""
        return self.start_px * 2 ** (len(self.widths) - 1)

    @property
    def latents(self) -> int:
        """Latents that the layers take: two for each doubling and two for the start."""
        return 2 * len(self.widths)


class ModulatedGenerator(nn.Module):
    """StyleGAN2 synthesis with skip connections.

    The work is split where a stream can save some: `modulate` turns latents into scales (a linear map, so parts of it
    can be cached), `synthesize` turns scales into a picture.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        start, dim = config.widths[0], config.style_dim
        self.input = ConstantInput(start, config.start_px) if config.constant_start else None
        self.conv1 = StyledConv(start, start, dim)
        self.to_rgb1 = ToRGB(start, dim, upsample=False)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for coarse, fine in pairwise(config.widths):
            self.convs.extend([StyledConv(coarse, fine, dim, upsample=True), StyledConv(fine, fine, dim)])
            self.to_rgbs.append(ToRGB(fine, dim))
        self.to_flows = nn.ModuleList(ToFlow(fine, dim) for fine in config.widths[1:] if config.carries)
        self.noises = nn.Module()
        for layer in range(config.latents - 1):
            side = config.start_px * 2 ** ((layer + 1) // 2)
            self.noises.register_buffer(f"noise_{layer}", torch.randn(1, 1, side, side))

    def channels_last(self) -> "ModulatedGenerator":
        """Keep the weights as a CPU reads them fastest, in place. Not before saving: safetensors wants them as made."""
        for layer in self.modules():
            if isinstance(layer, ModulatedConv2d):
                layer.weight.data = layer.weight.data[0].contiguous(memory_format=torch.channels_last)[None]
        return self

    def modulations(self) -> list[tuple[EqualLinear, int]]:
        """Each layer's modulation with the latent it reads, in the order of `modulate`'s answer.

        A picture layer reads the latent of the next convolution, so that slot is used twice; a flow layer as well.
        """
        out = [(self.conv1.conv.modulation, 0), (self.to_rgb1.conv.modulation, 1)]
        for i, rgb in enumerate(self.to_rgbs):
            for slot, layer in enumerate((self.convs[2 * i], self.convs[2 * i + 1], rgb), 2 * i + 1):
                assert isinstance(layer, StyledConv | ToRGB)
                out.append((layer.conv.modulation, slot))
        for i, flow in enumerate(self.to_flows):
            assert isinstance(flow, ToFlow)
            out.append((flow.conv.modulation, 2 * i + 3))
        return out

    def modulate(self, latents: Tensor) -> list[Tensor]:
        """Scales of every layer's input channels, each [B, inputs], from latents [B, config.latents, style_dim]."""
        return [layer(latents[:, slot]) for layer, slot in self.modulations()]

    def draw_noise(self, policy: NoisePolicy, batch: int, random: torch.Generator | None = None) -> list[Tensor | None]:
        """Noise of each convolution, [1 or batch, 1, H, W], by `policy`; `random` seeds "random"."""
        layers = range(self.config.latents - 1)
        if policy == "off":
            return [None for _ in layers]
        stored = [self.noises.get_buffer(f"noise_{layer}") for layer in layers]
        if policy == "fixed":
            return list(stored)
        return [torch.randn((batch, 1, *n.shape[2:]), generator=random, dtype=n.dtype, device=n.device) for n in stored]

    def noise_rows(self, policy: NoisePolicy, batch: int) -> list[Tensor]:
        """`draw_noise` with a row for each picture, [batch, 1, H, W]; empty for "off"."""
        return [n.expand(batch, -1, -1, -1) for n in self.draw_noise(policy, batch) if n is not None]

    def start(self, batch: int) -> Tensor:
        """The learned start map for each row, [batch, widths[0], start_px, start_px]."""
        assert self.input is not None, "this generator is given its start map"
        return self.input.input.expand(batch, -1, -1, -1)

    def synthesize(
        self,
        start: Tensor,
        scales: Sequence[Tensor],
        noise: Sequence[Tensor | None],
        carried: Sequence[Tensor] = (),
    ) -> Tensor:
        """Draw.

        Args:
            start: Start map, [B, widths[0], start_px, start_px].
            scales: Answer of `modulate`.
            noise: Answer of `draw_noise` or `noise_rows`.
            carried: The source's features after each doubling, [B, widths[i], size, size], where it carries any.

        Returns:
            Picture, [B, 3, frame_px, frame_px], RGB, -1 to 1 (about, without tanh).
        """
        noise = noise or [None] * (self.config.latents - 1)
        # on a CPU, transposed convolutions run twice as fast with the channels last
        x = self.conv1(start.contiguous(memory_format=torch.channels_last), scales[0], noise[0])
        picture, flow, layers = self.to_rgb1(x, scales[1], None), None, len(self.to_rgbs)
        for i, rgb in enumerate(self.to_rgbs):
            up, stay, paint = scales[2 + 3 * i : 5 + 3 * i]
            x = self.convs[2 * i](x, up, noise[2 * i + 1])
            x = self.convs[2 * i + 1](x, stay, noise[2 * i + 2])
            if self.to_flows:
                x, flow = self.to_flows[i](x, scales[2 + 3 * layers + i], carried[i], flow)
            picture = rgb(x, paint, picture)
        return picture.tanh() if self.config.tanh else picture

    def forward(
        self,
        latents: Tensor,
        start: Tensor | None = None,
        noise: NoisePolicy = "random",
        carried: Sequence[Tensor] = (),
    ) -> Tensor:
        """Latents [B, config.latents, style_dim] (and what `synthesize` is given beside them) to pictures."""
        batch = latents.shape[0]
        start = self.start(batch) if start is None else start
        return self.synthesize(start, self.modulate(latents), self.draw_noise(noise, batch), carried)
