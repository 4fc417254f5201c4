"""SqueezeNet behind losses: what it gives in VGG's place. Its weights are random here: published ones do not ship."""

import pytest
import torch

from models.blocks.perceptual import PerceptualLoss
from models.training.features import SqueezeFeatures, SqueezeJudge

WIDTHS = {"fire2": (64, 16, 64), "fire3": (128, 16, 64), "fire4": (128, 32, 128), "fire5": (256, 32, 128)}
"""Channels in, squeezed, and of each half of what comes out: table 1 of arXiv:1602.07360, for version 1.1."""


@pytest.fixture
def features():
    torch.manual_seed(0)
    weights = {"conv1": (torch.randn(64, 3, 3, 3), torch.zeros(64))}
    for name, (inputs, squeezed, wide) in WIDTHS.items():
        weights[name + "squeeze1x1"] = (torch.randn(squeezed, inputs, 1, 1), torch.zeros(squeezed))
        weights[name + "expand1x1"] = (torch.randn(wide, squeezed, 1, 1), torch.zeros(wide))
        weights[name + "expand3x3"] = (torch.randn(wide, squeezed, 3, 3), torch.zeros(wide))
    return SqueezeFeatures(weights)


def test_the_judge_gives_five_maps_of_root_mean_square_one(features):
    maps = SqueezeJudge(features)(torch.randn(2, 3, 32, 32))
    assert [m.shape[1] for m in maps] == [64, 128, 128, 256, 256]
    for m in maps:
        torch.testing.assert_close(m.square().mean(1).sqrt(), torch.ones(2, *m.shape[2:]))


def test_the_judge_sees_what_the_features_see_once_imagenets_mean_is_taken_back(features):
    picture = 2 * torch.rand(1, 3, 32, 32) - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = ((picture + 1) / 2 - mean[:, None, None]) / std[:, None, None]
    for got, want in zip(SqueezeJudge(features)(normalised), features.maps(picture), strict=True):
        torch.testing.assert_close(got, want.shape[1] ** 0.5 * want, atol=1e-3, rtol=0)


def test_the_house_models_distance_compares_fire2_fire3_and_fire5(features):
    one, other = 2 * torch.rand(2, 2, 3, 32, 32) - 1
    pairs = list(zip(features.maps(one), features.maps(other), strict=True))
    want = sum((a - b).abs().sum(1).mean() for a, b in (pairs[1], pairs[2], pairs[4])) / 3
    torch.testing.assert_close(features.distance(one, other), want)


def test_a_loss_by_the_judge_works_down_to_16_px_and_moves_the_drawn_alone(features):
    loss = PerceptualLoss(SqueezeJudge(features), (1.0,) * 5, sizes=(0, 1, 2), normalise=True)
    drawn, real = (torch.rand(1, 3, 64, 64, requires_grad=True) for _ in range(2))
    loss(drawn, real).backward()
    assert drawn.grad.abs().sum() > 0
    assert real.grad is None
    assert loss(real, real).item() == 0
