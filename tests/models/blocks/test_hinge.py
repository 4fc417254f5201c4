"""The hinge losses and feature matching, by hand."""

import torch

from models.blocks.hinge import feature_matching, hinge_critic, hinge_generator


def test_hinge_by_hand():
    real, fake = torch.tensor([0.5, 2.0]), torch.tensor([-3.0, 1.0])
    assert hinge_critic(real, fake).item() == (0.5 + 0) / 2 + (0 + 2) / 2
    assert hinge_generator(fake).item() == 1.0


def test_feature_matching_sums_layers_and_takes_the_real_as_given():
    real, fake = torch.tensor([1.0, 3.0], requires_grad=True), torch.tensor([2.0, 1.0], requires_grad=True)
    loss = feature_matching([real, real[:1]], [fake, fake[:1]])
    assert loss.item() == 1.5 + 1.0
    loss.backward()
    assert real.grad is None
    assert fake.grad.tolist() == [0.5 + 1.0, -0.5]
