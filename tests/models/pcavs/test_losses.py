"""PC-AVS's losses on cases small enough to do by hand."""

import math

import pytest
import torch

from models.pcavs.losses import (
    confusion,
    contrastive,
    feature_matching,
    hinge_critic,
    hinge_generator,
    sync,
)


def maps(*values):
    return [[torch.tensor([v]) for v in scale] for scale in values]


def test_contrastive_is_the_cross_entropy_of_inverse_distances_on_the_unit_sphere():
    query = torch.tensor([[2.0, 0.0], [0.0, 0.5]])  # directions 0 and 90 degrees
    key = torch.tensor([[3.0, 3.0], [0.0, -1.0]])  # 45 and -90 degrees
    near, right, far = 2 * math.sin(math.pi / 8), math.sqrt(2.0), 2.0
    first = math.log(1 + math.exp(1 / right - 1 / near))
    second = math.log(1 + math.exp(1 / near - 1 / far))
    assert contrastive(query, key).item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_contrastive_moves_the_key_and_not_the_query_and_survives_equal_features():
    query = torch.randn(3, 4, requires_grad=True)
    key = torch.randn(3, 4, requires_grad=True)
    contrastive(query, key).backward()
    assert query.grad is None
    assert key.grad.abs().sum() > 0
    same = torch.randn(3, 4).requires_grad_()
    contrastive(same, same).backward()
    assert torch.isfinite(same.grad).all()


def test_sync_compares_whole_clips_and_pulls_the_voice_to_the_video():
    video = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]], requires_grad=True)
    voice = torch.tensor([[[0.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]]], requires_grad=True)
    terms = sync(video, voice)
    assert terms["cross_modal"].item() == pytest.approx((1 + 2 + 1 + 2) / 8)
    # all four distances are sqrt 2, so each direction guesses
    assert terms["video_to_voice"].item() == pytest.approx(math.log(2))
    assert terms["voice_to_video"].item() == pytest.approx(math.log(2))
    terms["cross_modal"].backward(retain_graph=True)
    assert video.grad is None
    terms["voice_to_video"].backward()
    assert video.grad is not None


def test_the_hinge_stops_where_the_critic_is_sure():
    real, fake = maps([9.0, 0.5], [9.0, 3.0]), maps([9.0, -0.5], [9.0, 1.0])
    assert hinge_critic(real, fake).item() == pytest.approx(((0.5 + 0.5) + (0.0 + 2.0)) / 2)
    assert hinge_generator(fake).item() == pytest.approx(-(-0.5 + 1.0) / 2)


def test_feature_matching_counts_the_picture_and_not_the_scores():
    real, fake = maps([1.0, 2.0, 50.0], [4.0, 4.0, 50.0]), maps([0.0, 5.0, -7.0], [4.0, 3.0, -7.0])
    assert feature_matching(real, fake).item() == pytest.approx(((1 + 3) + (0 + 1)) / 2)
    moved = torch.ones(1, requires_grad=True)
    feature_matching([[moved, moved]], [[torch.zeros(1, requires_grad=True), moved]]).backward()
    assert moved.grad is None


def test_confusion_is_the_distance_to_knowing_nothing():
    scores = torch.tensor([[math.log(3.0), 0.0]])  # softmax 0.75, 0.25
    assert confusion(scores).item() == pytest.approx(0.0625)
    assert confusion(torch.zeros(2, 5)).item() == pytest.approx(0.0)
