"""The perceptual loss and VGG-19's layout."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.blocks.perceptual import PerceptualLoss, Vgg19
from models.errors import CheckpointError

CONVS = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 16: 256, 19: 512, 21: 512, 23: 512, 25: 512, 28: 512}
"""torchvision's numbering of VGG-19's convolutions up to relu5_1, with their channels."""


class Twice(nn.Module):
    def forward(self, picture):
        return [picture, 2 * picture]


def test_the_layout_is_torchvisions():
    with torch.device("meta"):
        net = Vgg19()
    shapes, inputs = {}, 3
    for i, outputs in CONVS.items():
        shapes |= {f"features.{i}.weight": (outputs, inputs, 3, 3), f"features.{i}.bias": (outputs,)}
        inputs = outputs
    assert {name: tuple(t.shape) for name, t in net.state_dict().items()} == shapes
    sizes = [tuple(m.shape[1:]) for m in net(torch.zeros(1, 3, 32, 32, device="meta"))]
    assert sizes == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)]


@torch.no_grad()
def test_the_five_maps_are_taken_after_the_relu():
    net, x = Vgg19.stand_in(), torch.randn(1, 3, 16, 16)
    got = net(x)
    want = F.conv2d(x, net.features[0].weight, net.features[0].bias, padding=1).clamp(min=0)
    torch.testing.assert_close(got[0], want)
    second = F.conv2d(want, net.features[2].weight, net.features[2].bias, padding=1).clamp(min=0)
    second = F.conv2d(F.max_pool2d(second, 2), net.features[5].weight, net.features[5].bias, padding=1)
    torch.testing.assert_close(got[1], second.clamp(min=0))


def test_the_loss_sums_weighted_maps_over_sizes_and_moves_only_the_drawn():
    loss = PerceptualLoss(Twice(), (1.0, 10.0), sizes=(0, 1), normalise=False)
    drawn, real = torch.zeros(1, 3, 4, 4, requires_grad=True), torch.ones(1, 3, 4, 4, requires_grad=True)
    assert loss(drawn, real).item() == pytest.approx(2 * (1 * 1 + 10 * 2))
    loss(drawn, real).backward()
    assert drawn.grad.abs().sum() > 0
    assert real.grad is None


def test_normalising_brings_imagenets_mean_to_zero():
    loss = PerceptualLoss(Twice(), (1.0, 0.0), normalise=True)
    mean = 2 * torch.tensor([0.485, 0.456, 0.406])[None, :, None, None].expand(1, 3, 2, 2) - 1
    one_deviation_up = mean + 2 * torch.tensor([0.229, 0.224, 0.225])[None, :, None, None]
    assert loss(mean, one_deviation_up).item() == pytest.approx(1.0, rel=1e-5)


def test_the_stand_in_is_the_same_every_time_and_frozen():
    one, two = Vgg19.stand_in(), Vgg19.stand_in()
    torch.testing.assert_close(one.state_dict(), two.state_dict())
    assert not any(p.requires_grad for p in one.parameters())


def test_a_file_without_vgg_is_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "vgg19.pth")
    with pytest.raises(CheckpointError, match="VGG-19"):
        Vgg19.load(tmp_path / "vgg19.pth")
