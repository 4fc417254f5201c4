"""StyleGAN2's generator, as PC-AVS and FC-TFG use it. Attribute names are those of the published checkpoints.

Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, section 4.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from models.blocks.carried import ToFlow
from models.blocks.modulated import EqualLinear, ModulatedConv2d, StyledConv, ToRGB

NoisePolicy = Literal["off", "fixed", "random"]
"""Noise added before each activation: none, the stored maps (no flicker), or drawn anew for each frame and row (what
PC-AVS publishes)."""


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
    def carried(self) -> tuple[int, ...]:
        """Channels of what is carried over, fine to coarse; none where nothing is."""
        return self.widths[:0:-1] if self.carries else ()

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

    def settle(self) -> "ModulatedGenerator":
        """Make it ready to draw and nothing else, in place. Not before saving: safetensors wants weights as made."""
        for layer in self.modules():
            if isinstance(layer, ModulatedConv2d):
                layer.settle()
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
