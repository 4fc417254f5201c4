"""The modulated generator against a plain transcription of the published form: one weight for each row."""

import math

import pytest
import torch
import torch.nn.functional as F

from models.blocks.carried import ToFlow
from models.blocks.modulated import Blur, EqualConv2d, EqualLinear, FusedLeakyReLU, ModulatedConv2d, Upsample
from models.blocks.style_generator import GeneratorConfig, ModulatedGenerator

SMALL = GeneratorConfig(style_dim=10, start_px=3, widths=(6, 5, 4), constant_start=False, tanh=True)


def upfirdn(x, kernel, up, pad):
    """Zeros between pixels, zeros around, correlation with the flipped kernel; written out by sums."""
    batch, channels, height, width = x.shape
    wide = torch.zeros(batch, channels, height * up, width * up)
    wide[:, :, ::up, ::up] = x
    wide = F.pad(wide, (pad[0], pad[1], pad[0], pad[1]))
    rows, columns = wide.shape[2] - 3, wide.shape[3] - 3
    flipped = kernel.flip(0, 1)
    return sum(flipped[i, j] * wide[:, :, i : i + rows, j : j + columns] for i in range(4) for j in range(4))


def low_pass(gain):
    return torch.tensor([[1, 3, 3, 1], [3, 9, 9, 3], [3, 9, 9, 3], [1, 3, 3, 1]]) / 64 * gain


def published_conv(conv, x, latent):
    """Equations 1 to 3 of the paper, a weight for each row."""
    modulation = latent @ conv.modulation.weight.t() / math.sqrt(latent.shape[1]) + conv.modulation.bias
    rows = []
    for image, style in zip(x, modulation, strict=True):
        weight = conv.weight[0] / math.sqrt(conv.weight[0, 0].numel()) * style[None, :, None, None]
        if conv.demodulate:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if conv.blur is not None:
            raised = F.conv_transpose2d(image[None], weight.transpose(0, 1), stride=2)
            rows.append(upfirdn(raised, low_pass(4.0), 1, (1, 1)))
        else:
            rows.append(F.conv2d(image[None], weight, padding=weight.shape[-1] // 2))
    return torch.cat(rows)


def published_layer(layer, x, latent, noise):
    y = published_conv(layer.conv, x, latent)
    if noise is not None:
        y = y + layer.noise.weight * noise
    y = y + layer.activate.bias
    return torch.where(y > 0, y, 0.2 * y) * 2**0.5


def published_flow(layer, x, latent, carried, coarser):
    """LIA's, with ours: a quarter of the reach, and the blend is drawn from. Pixel by pixel."""
    out = published_conv(layer.conv, x, latent) + layer.bias
    if coarser is not None:
        out = out + upsample(coarser)
    side, blend = x.shape[2], torch.empty_like(x)
    for row in range(len(x)):
        for i in range(side):
            for j in range(side):
                dx, dy, shown = out[row, :, i, j]
                place = torch.tensor([j, i]) + 0.25 * torch.stack([dx, dy]).tanh() * (side - 1) / 2
                px, py = place.clamp(0, side - 1).tolist()
                left, top = min(int(px), side - 2), min(int(py), side - 2)
                across, down = px - left, py - top
                four = carried[row, :, top : top + 2, left : left + 2]
                read = (four[:, 0] * (1 - down) + four[:, 1] * down) @ torch.tensor([1 - across, across])
                blend[row, :, i, j] = shown.sigmoid() * read + (1 - shown.sigmoid()) * x[row, :, i, j]
    return blend, out


def upsample(x):
    return upfirdn(x, low_pass(4.0), 2, (2, 1))


def published_generator(net, latents, start, noise, carried=()):
    x = published_layer(net.conv1, start, latents[:, 0], noise[0])
    picture = published_conv(net.to_rgb1.conv, x, latents[:, 1]) + net.to_rgb1.bias
    slot, flow = 1, None
    for i, rgb in enumerate(net.to_rgbs):
        x = published_layer(net.convs[2 * i], x, latents[:, slot], noise[2 * i + 1])
        x = published_layer(net.convs[2 * i + 1], x, latents[:, slot + 1], noise[2 * i + 2])
        if carried:
            x, flow = published_flow(net.to_flows[i], x, latents[:, slot + 2], carried[i], flow)
        painted = published_conv(rgb.conv, x, latents[:, slot + 2]) + rgb.bias
        picture = painted + upsample(picture)
        slot += 2
    return picture.tanh() if net.config.tanh else picture


def randomised(config):
    torch.manual_seed(0)
    net = ModulatedGenerator(config)
    for name, parameter in net.named_parameters():
        if "noise" in name or "activate" in name or "to_flows" in name or name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.5)
    return net.requires_grad_(False)


@pytest.mark.parametrize(("kernel", "upsample"), [(1, False), (3, False), (3, True)])
@pytest.mark.parametrize("demodulate", [False, True])
def test_scaling_the_activations_equals_a_weight_for_each_row(kernel, upsample, demodulate):
    torch.manual_seed(1)
    conv = ModulatedConv2d(5, 7, kernel, 9, demodulate=demodulate, upsample=upsample).requires_grad_(False)
    x, latent = torch.randn(2, 5, 6, 7), torch.randn(2, 9)
    torch.testing.assert_close(conv(x, conv.modulation(latent)), published_conv(conv, x, latent), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("noise", ["off", "fixed"])
@pytest.mark.parametrize("tanh", [False, True])
def test_the_generator_equals_the_published_form(noise, tanh):
    net = randomised(GeneratorConfig(10, 3, (6, 5, 4), constant_start=False, tanh=tanh))
    latents, start = torch.randn(2, 6, 10), torch.randn(2, 6, 3, 3)
    drawn = [None] * 5 if noise == "off" else [net.noises.get_buffer(f"noise_{i}") for i in range(5)]
    want = published_generator(net, latents, start, drawn)
    torch.testing.assert_close(net(latents, start, noise), want, atol=1e-5, rtol=1e-5)
    assert want.std() > 0.1


CARRYING = GeneratorConfig(10, 3, (6, 5, 4), constant_start=False, tanh=False, carries=True)


def test_what_is_carried_is_read_where_the_flow_points():
    net = randomised(CARRYING)
    latents, start, carried = (
        torch.randn(2, 6, 10),
        torch.randn(2, 6, 3, 3),
        [torch.randn(2, 5, 6, 6), torch.randn(2, 4, 12, 12)],
    )
    want = published_generator(net, latents, start, [None] * 5, carried)
    torch.testing.assert_close(net(latents, start, "off", carried), want, atol=1e-4, rtol=1e-4)


def test_carrying_begins_with_half_of_the_source_where_it_is():
    torch.manual_seed(0)
    layer, x, carried = ToFlow(5, 10), torch.randn(1, 5, 6, 6), torch.randn(1, 5, 6, 6)
    got, flow = layer(x, torch.randn(1, 5), carried, None)
    torch.testing.assert_close(got, (x + carried) / 2)
    assert (flow == 0).all()


def test_a_learned_start_is_the_same_for_each_row():
    net = randomised(GeneratorConfig(10, 4, (6, 5), constant_start=True, tanh=False))
    latents = torch.randn(2, 4, 10)
    want = published_generator(net, latents, net.input.input.repeat(2, 1, 1, 1), [None] * 3)
    torch.testing.assert_close(net(latents, noise="off"), want, atol=1e-5, rtol=1e-5)


def test_a_settled_generator_draws_the_same():
    net, start = randomised(SMALL), torch.randn(1, 6, 3, 3)
    latents = torch.randn(1, 6, 10)
    want = net(latents, start, "fixed")
    assert all(p.is_contiguous() for p in net.parameters())  # what safetensors asks for
    torch.testing.assert_close(net.settle()(latents, start, "fixed"), want, atol=1e-5, rtol=1e-5)
    assert net.conv1.conv.weight[0].is_contiguous(memory_format=torch.channels_last)


def test_random_noise_is_drawn_anew_for_each_row_and_repeats_with_its_seed():
    net = randomised(SMALL)
    first = net.draw_noise("random", 2, torch.Generator().manual_seed(3))
    again = net.draw_noise("random", 2, torch.Generator().manual_seed(3))
    assert [tuple(n.shape) for n in first] == [(2, 1, s, s) for s in (3, 6, 6, 12, 12)]
    torch.testing.assert_close(first, again)
    assert not torch.equal(first[2][0], first[2][1])


def test_upsample_and_blur_are_the_low_pass_with_the_published_pads():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 4)
    torch.testing.assert_close(Upsample()(x), upfirdn(x, low_pass(4.0), 2, (2, 1)))
    torch.testing.assert_close(Blur(2)(x), upfirdn(x, low_pass(1.0), 1, (2, 2)))


def test_equalised_layers_scale_the_weight_and_not_the_bias():
    linear, conv = EqualLinear(4, 1, bias_init=3.0), EqualConv2d(4, 1, 3)
    with torch.no_grad():
        linear.weight.fill_(1.0)
        conv.weight.fill_(1.0)
        conv.bias.fill_(3.0)
    assert linear(torch.ones(1, 4)).item() == pytest.approx(4 / 2 + 3)
    assert conv(torch.ones(1, 4, 3, 3)).item() == pytest.approx(36 / 6 + 3)


def test_fused_leaky_relu_adds_bends_and_scales():
    act = FusedLeakyReLU(1)
    with torch.no_grad():
        act.bias.fill_(1.0)
    got = act(torch.tensor([[[[1.0, -3.0]]]]))
    torch.testing.assert_close(got, torch.tensor([[[[2.0, -0.4]]]]) * 2**0.5)
