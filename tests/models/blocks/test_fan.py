"""The FAN trunk against a plain transcription of the published one, in the published key layout."""

import pytest
import torch
import torch.nn.functional as F

from models.blocks.fan import FanConfig, FanEncoder, FanTrunk, landmark_maps, published_names

TINY = FanConfig(image_px=64, features=6, width=16, maps=5, depth=3)


class Plain:
    """The published trunk, layer by layer, over a dict of tensors with the published names."""

    def __init__(self, weights, align_corners, depth):
        self.weights, self.align_corners, self.depth = weights, align_corners, depth

    def conv(self, x, name, **how):
        return F.conv2d(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"), **how)

    def norm(self, x, name):
        parts = [self.weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *parts)

    def block(self, x, name):
        first = self.conv(F.relu(self.norm(x, f"{name}.bn1")), f"{name}.conv1", padding=1)
        second = self.conv(F.relu(self.norm(first, f"{name}.bn2")), f"{name}.conv2", padding=1)
        third = self.conv(F.relu(self.norm(second, f"{name}.bn3")), f"{name}.conv3", padding=1)
        if f"{name}.downsample.0.weight" in self.weights:
            x = self.conv(F.relu(self.norm(x, f"{name}.downsample.0")), f"{name}.downsample.2")
        return torch.cat([first, second, third], 1) + x

    def hourglass(self, x, level):
        low = self.block(F.max_pool2d(x, 2, 2), f"m0.b2_{level}")
        low = self.hourglass(low, level - 1) if level > 1 else self.block(low, "m0.b2_plus_1")
        low = self.block(low, f"m0.b3_{level}")
        size = self.block(x, f"m0.b1_{level}").shape[2:]
        return self.block(x, f"m0.b1_{level}") + F.interpolate(
            low, size=size, mode="bilinear", align_corners=self.align_corners
        )

    def __call__(self, face):
        x = F.relu(self.norm(self.conv(face, "conv1", stride=2, padding=3), "bn1"))
        x = F.max_pool2d(self.block(x, "conv2"), 2)
        x = self.block(self.block(x, "conv3"), "conv4")
        x = self.block(self.hourglass(x, self.depth), "top_m_0")
        return self.conv(F.relu(self.norm(self.conv(x, "conv_last0"), "bn_end0")), "l0")


def random_weights(module):
    """Seeded weights and running statistics, so that every normalisation shows."""
    torch.manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else torch.randn_like(tensor) * 0.3)
    return module.eval()


def published_layout(trunk):
    back = {ours: theirs for theirs, ours in published_names(TINY.depth).items()}
    renamed = {}
    for key, tensor in trunk.state_dict().items():
        ours = max((name for name in back if key.startswith(f"{name}.")), key=len)
        renamed[back[ours] + key.removeprefix(ours)] = tensor
    return renamed


@pytest.mark.parametrize("align_corners", [True, False])
@torch.no_grad()
def test_the_trunk_computes_what_the_published_one_does(align_corners):
    config = FanConfig(**{**TINY.__dict__, "align_corners": align_corners})
    trunk = random_weights(FanTrunk(config))
    face = torch.rand(2, 3, 64, 64)
    plain = Plain(published_layout(trunk), align_corners, TINY.depth)
    torch.testing.assert_close(trunk(face), plain(face), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_head_folds_the_maps_into_one_vector():
    encoder = random_weights(FanEncoder(TINY))
    face = torch.rand(2, 3, 64, 64)
    maps = encoder.trunk(face)
    scaled = (maps - encoder.norm.running_mean[:, None, None]) / (encoder.norm.running_var + 1e-5).sqrt()[:, None, None]
    lit = (scaled * encoder.norm.weight[:, None, None] + encoder.norm.bias[:, None, None]).clamp(min=0)
    single = F.conv2d(lit, encoder.conv.weight, encoder.conv.bias, stride=2, padding=1).clamp(min=0)
    want = single.reshape(2, 64) @ encoder.fc.weight.T + encoder.fc.bias
    torch.testing.assert_close(encoder(face), want, atol=1e-4, rtol=1e-4)


def test_the_published_sizes():
    with torch.device("meta"):
        davs, pcavs = FanEncoder(FanConfig()), FanEncoder(FanConfig(image_px=224, features=512))
    # DAVS publishes 8.414 M, three modules of which feed nothing: conv5, conv6 and fc of the trunk
    unused = 256 * 256 * 25 + 256 + 68 * 9 + 1 + 1024 * 256 + 256
    assert sum(p.numel() for p in davs.parameters()) == 8_414_486 - unused
    assert len(davs.state_dict()) == 349 - 6
    assert davs(torch.zeros(2, 3, 256, 256, device="meta")).shape == (2, 256)
    assert davs.trunk(torch.zeros(1, 3, 256, 256, device="meta")).shape == (1, 68, 64, 64)
    assert pcavs(torch.zeros(1, 3, 224, 224, device="meta")).shape == (1, 512)
    assert pcavs.fc.in_features == 784


def test_a_fresh_encoder_is_alive():
    for seed in range(3):
        torch.manual_seed(seed)
        encoder, faces = FanEncoder(TINY).eval(), torch.rand(4, 3, TINY.image_px, TINY.image_px)
        maps = encoder.trunk(faces)
        assert (encoder.conv(torch.relu(encoder.norm(maps))) > 0).float().mean() > 0.9
        assert encoder(faces).std(0).mean() > 0


def test_a_bump_of_height_one_stands_where_each_landmark_is():
    places = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(6.0), indexing="xy"))
    bumps = landmark_maps(torch.tensor([[[5.0, 2.0], [0.0, 5.5]]]), places, 1.5)
    assert bumps.shape == (1, 2, 6, 8)
    assert bumps[0, 0, 2, 5] == bumps[0, 0].max() == 1.0
    torch.testing.assert_close(bumps[0, 0, 2, 2], torch.tensor(-0.5 * (3 / 1.5) ** 2).exp())
    torch.testing.assert_close(bumps[0, 1, 5, 0], torch.tensor(-0.5 * (0.5 / 1.5) ** 2).exp())
