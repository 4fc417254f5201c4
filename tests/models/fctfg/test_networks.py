"""FC-TFG's networks: published sizes on the meta device, and their layers by plain formulas."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from models.blocks.style_generator import GeneratorConfig, ModulatedGenerator
from models.fctfg.arcface import ArcFace
from models.fctfg.config import PUBLISHED, SMALL
from models.fctfg.critic import HalvingBlock, ResidualCritic, deviation
from models.fctfg.latents import CanonicalEncoder, MotionEncoder, TemporalFusion
from models.fctfg.networks import FctfgNetworks
from models.fctfg.visual import ResidualUnit, StyleHead, VisualEncoder
from tests.models.blocks.test_modulated import low_pass, upfirdn
from tests.models.fctfg.tiny import tiny


def millions(module):
    return sum(p.numel() for p in module.parameters()) / 1e6


@pytest.fixture(scope="module")
def published():
    with torch.device("meta"):
        return FctfgNetworks(PUBLISHED).eval()


def test_the_published_networks_have_the_sizes_of_the_specification(published):
    assert millions(published.visual) == pytest.approx(209.5, abs=0.05)
    assert millions(published.audio) == pytest.approx(2.81, abs=0.005)
    assert millions(published.canonical) == pytest.approx(102.8, abs=0.05)
    assert millions(published.motion) == pytest.approx(157.8, abs=0.05)
    assert millions(published.generator) == pytest.approx(22.7, abs=0.05)
    with torch.device("meta"):
        cheap = replace(PUBLISHED, mixing="per_style")
        canonical, motion = CanonicalEncoder(cheap), MotionEncoder(cheap)
        wide = ModulatedGenerator(GeneratorConfig(512, 4, (512, 512, 512, 512, 512, 256, 128), True, False))
    assert millions(canonical) == pytest.approx(0.525, abs=0.001)
    assert millions(motion) == pytest.approx(1.05, abs=0.005)
    assert millions(wide) == pytest.approx(27.9, abs=0.05)


def test_the_networks_do_the_work_of_the_specification(published):
    """GMAC of one frame: systems.md, 3.2."""
    got = []
    for module, shape in (
        (published.visual, (1, 3, 256, 256)),
        (published.audio, (1, 1, 80, 16)),
        (published.generator, (1, 14, 512)),
    ):
        with FlopCounterMode(display=False) as counter:
            module(torch.empty(shape, device="meta"))
        got.append(counter.get_total_flops() / 2e9)
    assert got == pytest.approx([59.6, 0.0931, 15.03], rel=1e-3)


def test_a_published_face_is_fourteen_latents_of_512(published):
    encoder, face = published.visual, torch.empty(1, 3, 256, 256, device="meta")
    assert [tuple(m.shape[1:]) for m in encoder.trunk(face)] == [
        (64, 128, 128),
        (128, 64, 64),
        (256, 32, 32),
        (512, 16, 16),
    ]
    assert encoder(face).shape == (1, 14, 512)
    assert [len(head.convs) // 3 for head in encoder.heads] == [4] * 3 + [5] * 4 + [6] * 7


def test_the_small_one_draws_128_px_and_fits_the_bundle():
    with torch.device("meta"):
        net = FctfgNetworks(SMALL)
    assert SMALL.frame_px == 128
    assert millions(net) * 2 < 25  # MB as float16


def scrambled(module):
    """Batch norms with statistics of their own, in eval mode."""
    for m in module.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(m.running_mean, std=0.3)
            torch.nn.init.uniform_(m.running_var, 0.5, 1.5)
            torch.nn.init.normal_(m.weight, 1.0, 0.2)
    return module.eval().requires_grad_(False)


def norm(m, x):
    scale = (m.weight / (m.running_var + m.eps).sqrt())[:, None, None]
    return (x - m.running_mean[:, None, None]) * scale + m.bias[:, None, None]


@pytest.mark.parametrize(("inputs", "stride"), [(16, 2), (16, 1), (32, 2)])
def test_a_residual_unit_is_its_formula(inputs, stride):
    torch.manual_seed(0)
    unit, x = scrambled(ResidualUnit(inputs, 16, stride)), torch.randn(2, inputs, 8, 8)
    bn1, conv1, prelu, conv2, bn2, gate = unit.res_layer
    y = F.conv2d(norm(bn1, x), conv1.weight, padding=1)
    y = torch.where(y > 0, y, y * prelu.weight[:, None, None])
    y = norm(bn2, F.conv2d(y, conv2.weight, stride=stride, padding=1))
    means = y.mean((2, 3))
    opened = (means @ gate.fc1.weight[:, :, 0, 0].t()).relu() @ gate.fc2.weight[:, :, 0, 0].t()
    y = y * torch.sigmoid(opened)[:, :, None, None]
    if inputs == 16:
        shortcut = x[:, :, ::stride, ::stride]
    else:
        conv, bn = unit.shortcut_layer
        shortcut = norm(bn, F.conv2d(x, conv.weight, stride=stride))
    torch.testing.assert_close(unit(x), y + shortcut, atol=1e-5, rtol=1e-5)


def test_a_style_head_halves_until_one_pixel_is_left():
    torch.manual_seed(0)
    head, x = scrambled(StyleHead(5, 6, 4)), torch.randn(2, 5, 4, 4)
    conv1, bn1, _, conv2, bn2, _ = head.convs
    y = F.leaky_relu(norm(bn1, F.conv2d(x, conv1.weight, conv1.bias, 2, 1)), 0.01)
    y = F.leaky_relu(norm(bn2, F.conv2d(y, conv2.weight, conv2.bias, 2, 1)), 0.01)
    want = y.flatten(1) @ head.linear.weight.t() / 6**0.5 + head.linear.bias
    torch.testing.assert_close(head(x), want)


def test_the_pyramid_feeds_coarse_middle_and_fine_latents():
    torch.manual_seed(0)
    encoder = scrambled(VisualEncoder(tiny("per_style")))
    face = torch.randn(1, 3, 32, 32)
    _, fine, middle, coarse = encoder.trunk(face)

    def raised(x, lateral):
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True) + lateral

    middle = raised(coarse, encoder.lateral_middle(middle))
    fine = raised(middle, encoder.lateral_fine(fine))
    want = [head(x) for head, x in zip(encoder.heads, [coarse] * 3 + [middle] * 4 + [fine], strict=True)]
    torch.testing.assert_close(encoder(face), torch.stack(want, 1))


@torch.no_grad()
def test_photo_and_maps_are_carried_coarse_to_fine():
    torch.manual_seed(0)
    net, photo = FctfgNetworks(tiny("per_style", carries=True)).eval(), torch.randn(2, 3, 32, 32)
    canonical, carried = net.look(photo)
    torch.testing.assert_close(canonical, net.canonical(net.visual(photo)))
    sources = [photo, *net.visual.trunk(photo)][2::-1]
    for got, source, conv in zip(carried, sources, net.carrier.convs[::-1], strict=True):
        torch.testing.assert_close(
            got, torch.einsum("oi,bihw->bohw", conv.weight[..., 0, 0], source) + conv.bias[:, None, None]
        )


def test_features_for_more_doublings_than_there_are_maps_are_refused():
    deep = replace(SMALL.generator, widths=(160, 160, 128, 96, 48, 24, 12))
    with pytest.raises(ValueError, match="got 6 doublings to carry features to"):
        FctfgNetworks(replace(SMALL, generator=deep, critic_widths=(32,) * 7))


@pytest.mark.parametrize("mixing", ["flattened", "per_style"])
@torch.no_grad()
def test_the_mappings_are_plain_layers_over_what_they_mix(mixing):
    torch.manual_seed(0)
    config = tiny(mixing)
    canonical, motion = CanonicalEncoder(config), MotionEncoder(config)
    latents, voice = torch.randn(2, 8, 6), torch.randn(2, 5)
    rows = latents.flatten(1) if mixing == "flattened" else latents
    voices = voice if mixing == "flattened" else voice[:, None].expand(-1, 8, -1)

    def dense(layer, x):
        return x @ layer.weight.t() + layer.bias

    def leaky(x):
        return torch.where(x > 0, x, 0.2 * x)

    want = dense(canonical.last, dense(canonical.first, rows).relu())
    torch.testing.assert_close(canonical(latents).flatten(1), want.flatten(1))

    first = torch.cat([motion.driver.weight, motion.voice.weight], 1)  # the layer over both side by side
    hidden = leaky(torch.cat([rows, voices], -1) @ first.t() + motion.voice.bias)
    want = dense(motion.last, leaky(dense(motion.second, hidden)))
    torch.testing.assert_close(motion(latents, voice).flatten(1), want.flatten(1))


@torch.no_grad()
def test_fusion_by_steps_equals_fusion_of_the_clip_and_rows_start_alone():
    torch.manual_seed(0)
    fusion, clip = TemporalFusion(tiny("per_style")), torch.randn(2, 5, 8, 6)
    torch.nn.init.normal_(fusion.weight)
    torch.nn.init.normal_(fusion.bias)
    state = fusion.init_state(2)
    steps = torch.stack([fusion.step(frame, state) for frame in clip.unbind(1)], 1)
    torch.testing.assert_close(steps, fusion(clip))
    w = fusion.weight
    torch.testing.assert_close(
        steps[:, 1], (w[0] + w[1]) * clip[:, 0] + w[2] * clip[:, 1] + fusion.bias, atol=1e-5, rtol=1e-5
    )
    state.reset(torch.tensor([True, False]))
    after = fusion.step(clip[:, 0], state)
    torch.testing.assert_close(after[0], fusion(clip[:1, :1])[0, 0])
    assert (after[1] - fusion(clip[1:, :1])[0, 0]).abs().max() > 0.1


@torch.no_grad()
def test_a_new_fusion_passes_the_newest_frame():
    clip = torch.randn(1, 4, 8, 6)
    torch.testing.assert_close(TemporalFusion(tiny("per_style"))(clip), clip)


def test_a_halving_block_is_its_formula():
    torch.manual_seed(0)
    block, x = HalvingBlock(3, 5).requires_grad_(False), torch.randn(2, 3, 8, 8)
    conv1, act1 = block.conv1
    _, conv2, act2 = block.conv2
    _, skip = block.skip
    for act in (act1, act2):
        torch.nn.init.normal_(act.bias)

    def bent(y, act):
        return F.leaky_relu(y + act.bias, 0.2) * 2**0.5

    y = bent(F.conv2d(x, conv1.weight / 27**0.5, padding=1), act1)
    y = bent(F.conv2d(upfirdn(y, low_pass(1.0), 1, (2, 2)), conv2.weight / 27**0.5, stride=2), act2)
    want = (y + F.conv2d(upfirdn(x, low_pass(1.0), 1, (1, 1)), skip.weight / 3**0.5, stride=2)) / 2**0.5
    torch.testing.assert_close(block(x), want, atol=1e-5, rtol=1e-5)


def test_deviation_is_that_of_each_group():
    x = torch.tensor([0.0, 5.0, 2.0, 5.0, 4.0, 5.0, 6.0, 5.0])[:, None, None, None].expand(8, 2, 3, 3)
    # groups of four take every second picture: 0 2 4 6 and four equal ones
    got = deviation(x)
    assert got.shape == (8, 1, 3, 3)
    torch.testing.assert_close(got[:, 0, 0, 0], torch.tensor([5**0.5, 1e-4] * 4))
    # six pictures make two groups of three: 0 2 4 and 5 5 5
    torch.testing.assert_close(deviation(x[:6])[:2, 0, 0, 0], torch.tensor([(8 / 3) ** 0.5, 1e-4]))


def test_the_critic_scores_each_picture():
    torch.manual_seed(0)
    critic = ResidualCritic((4, 4, 6))
    picture = torch.randn(1, 3, 16, 16)
    assert critic(picture).shape == (1, 1)
    assert critic(picture).item() != critic(-picture).item()


def test_arcface_reads_the_public_key_layout():
    with torch.device("meta"):
        net = ArcFace()
    keys = set(net.state_dict())
    assert {"trunk.body.0.res_layer.5.fc1.weight", "trunk.body.3.shortcut_layer.1.running_mean"} <= keys
    assert net.state_dict()["output_layer.3.weight"].shape == (512, 512 * 49)
    assert len(net.trunk.body) == 24
    assert millions(net) == pytest.approx(43.8, abs=0.1)


@torch.no_grad()
def test_arcface_gives_unit_vectors_for_any_size():
    torch.manual_seed(0)
    net = ArcFace((16, 16, 16, 16), (1, 1, 1, 1), vector=7).eval()
    vectors = net(torch.rand(2, 3, 40, 40))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
