"""The published systems' frames as their papers' own code draws them: nothing cached, folded or rewritten.

Each takes a system's networks, a face [1, 3, S, S] as `bind` takes it and a window of sound [1, rows, bands], and gives
what draws that frame again and again, [1, 3, S, S], -1 to 1. What the published demonstrations know before a clip
begins (codes and maps of the photo, a pose code) is worked out beforehand.
"""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from models.blocks.modulated import GAIN, SLOPE, ModulatedConv2d, StyledConv, ToRGB, fir
from models.blocks.style_generator import ModulatedGenerator
from models.davs.decoder import Decoder
from models.davs.identity import Person
from models.davs.networks import DavsNetworks
from models.davs.system import GAIN as WORD_GAIN
from models.fctfg.networks import FctfgNetworks
from models.pcavs.networks import AUDIO_GAIN, PcavsNetworks
from models.tavce.config import AROUND, EXPRESSION
from models.tavce.correlation import gate
from models.tavce.keypoints import place
from models.tavce.networks import TavceNetworks

_NO_TURN = torch.zeros(1, 3)


def davs(networks: DavsNetworks, face: Tensor, window: Tensor) -> Callable[[], Tensor]:
    """Person and words are joined anew in every frame, and normalised after each layer."""
    person = networks.identity(face)
    return lambda: 2 * _spoken(networks.decoder, person, WORD_GAIN * networks.audio(window[:, None])) - 1


def _spoken(decoder: Decoder, person: Person, words: Tensor) -> Tensor:
    x = torch.cat([person.code, words], 1)[:, :, None, None]
    x = F.relu(decoder.seed_norm(decoder.seed(x)))
    for number, layer in enumerate(decoder.rounds):
        if number == len(decoder.rounds) - 3:
            x = torch.cat([person.map, x], 1)
        x = F.interpolate(layer(x), scale_factor=2, mode="bilinear", align_corners=True)
    x = decoder.last2(F.relu(decoder.last1_norm(decoder.last1(x))))
    return (torch.tanh(x) + 1) / 2


def pcavs(networks: PcavsNetworks, face: Tensor, window: Tensor) -> Callable[[], Tensor]:
    """The style is put together and modulates the weights of each layer anew in every frame."""
    vector, (start, *_) = networks.identity(face)
    pose = networks.motion.pose(networks.motion.model(face)) + networks.pose_map(_NO_TURN)

    def draw() -> Tensor:
        feature = AUDIO_GAIN * networks.audio(window.transpose(1, 2)[:, None])
        style = networks.style(vector, feature, pose)
        return _synthesized(networks.generator, start, style[:, None].expand(-1, networks.generator.config.latents, -1))

    return draw


def fctfg(networks: FctfgNetworks, face: Tensor, window: Tensor) -> Callable[[], Tensor]:
    """The same generator, of latents."""
    canonical, _ = networks.look(face)
    watched = (networks.pose_codes(face) + networks.pose_map(_NO_TURN)).view_as(canonical)

    def draw() -> Tensor:
        voice = networks.audio(window.transpose(1, 2)[:, None])
        motion = networks.motion.move(watched + networks.motion.listen(voice))
        latents = networks.fusion.step(canonical + motion, networks.fusion.init_state(1))
        return _synthesized(networks.generator, networks.generator.start(1), latents).clamp(-1.0, 1.0)

    return draw


def _synthesized(net: ModulatedGenerator, start: Tensor, latents: Tensor) -> Tensor:
    """StyleGAN2's synthesis with weights of its own for each sample."""
    noise = cast(list[Tensor], net.draw_noise("fixed", 1))
    x = _styled(net.conv1, start, latents[:, 0], noise[0])
    picture = _painted(net.to_rgb1, x, latents[:, 1], None)
    for level, rgb in enumerate(net.to_rgbs):
        for step in (0, 1):
            number = 2 * level + step
            x = _styled(cast(StyledConv, net.convs[number]), x, latents[:, number + 1], noise[number + 1])
        picture = _painted(cast(ToRGB, rgb), x, latents[:, 2 * level + 3], picture)
    return picture.tanh() if net.config.tanh else picture


def _styled(layer: StyledConv, x: Tensor, latent: Tensor, noise: Tensor) -> Tensor:
    x = _modulated(layer.conv, x, latent) + layer.noise.weight * noise
    return F.leaky_relu(x + layer.activate.bias, SLOPE) * GAIN


def _painted(layer: ToRGB, x: Tensor, latent: Tensor, coarser: Tensor | None) -> Tensor:
    picture = _modulated(layer.conv, x, latent) + layer.bias
    if coarser is None:
        return picture
    spread = F.pad(coarser[..., None, :, None], (0, 1, 0, 0, 0, 1)).flatten(4).flatten(2, 3)  # zeros between pixels
    return picture + _filtered(F.pad(spread, (2, 1, 2, 1)), fir(4.0))


def _modulated(conv: ModulatedConv2d, x: Tensor, latent: Tensor) -> Tensor:
    batch = len(x)
    weight = conv.weight * conv.scale * conv.modulation(latent)[:, None, :, None, None]  # [B, outputs, inputs, K, K]
    if conv.demodulate:
        weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
    grouped = x.flatten(0, 1)[None]
    if conv.blur is None:
        out = F.conv2d(grouped, weight.flatten(0, 1), padding=conv.padding, groups=batch)
        return out.unflatten(1, (batch, -1))[0]
    out = F.conv_transpose2d(grouped, weight.transpose(1, 2).flatten(0, 1), stride=2, groups=batch)
    return _filtered(F.pad(out.unflatten(1, (batch, -1))[0], (1, 1, 1, 1)), fir(4.0))


def _filtered(x: Tensor, kernel: Tensor) -> Tensor:
    """Each channel as a picture of its own, as `upfirdn2d` does it where there is no GPU."""
    return F.conv2d(x.flatten(0, 1)[:, None], kernel.flip(0, 1)[None, None])[:, 0].unflatten(0, x.shape[:2])


def tavce(networks: TavceNetworks, face: Tensor, window: Tensor, coefficients: Tensor) -> Callable[[], Tensor]:
    """The renderer encodes the photo, of coefficients [1, 70], anew in every frame."""
    canonical, window_frames = networks.detector(face), 2 * AROUND + 1
    source = place(canonical, networks.mapping(coefficients[..., None].expand(-1, -1, window_frames)))
    expression, sound = networks.expression, window.transpose(1, 2)[:, None]
    seen = expression.rest(coefficients[:, :EXPRESSION]) + expression.blinked(torch.zeros(1, 1))[:, 0]

    def draw() -> Tensor:
        now = torch.cat([seen + expression.said(sound), coefficients[:, EXPRESSION:]], 1)
        stance = networks.mapping(now[..., None].expand(-1, -1, window_frames))
        heard = networks.sound(sound)
        return 2 * networks.generator(face, gate(heard, heard), place(canonical, stance), source) - 1

    return draw
