"""TAVCE's correlation, losses and redrawing nets: against matrices, hand-worked numbers, and who learns what."""

import math

import pytest
import torch
import torch.nn.functional as F

from models.blocks.hinge import hinge_generator
from models.tavce import losses
from models.tavce.coefficients import PoseCritic, Spread
from models.tavce.correlation import MouthEncoder, SoundEncoder, crop_mouths, gate, likeness
from models.tavce.redraw import Redrawer
from tests.models.shaken import shaken
from tests.models.tavce.tiny import TINY


def covariance(x, y):
    """As the published code forms it: rows less their mean, transposed times themselves."""
    rows = torch.stack([x, y], 1)
    rows = rows - rows.mean(1, keepdim=True)
    return rows.transpose(1, 2) @ rows


@pytest.fixture
def features():
    torch.manual_seed(0)
    return torch.randn(4, 3, 6)


def test_the_gate_is_the_diagonal_of_the_normalised_covariance(features):
    before, now, _, _ = features
    want = F.normalize(covariance(before, now), dim=-1).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(gate(before, now), want, atol=1e-6, rtol=0)


def test_the_gate_is_shut_where_nothing_changes(features):
    assert gate(features[0], features[0].clone()).abs().max() == 0


def test_likeness_is_the_cosine_of_the_covariances(features):
    a, b, c, d = features
    want = F.cosine_similarity(covariance(a, b).flatten(1), covariance(c, d).flatten(1))
    torch.testing.assert_close(likeness(a - b, c - d), want, atol=1e-5, rtol=0)
    torch.testing.assert_close(likeness(a - b, d - c), want, atol=1e-5, rtol=0)  # the sign is not seen


def changes():
    """Sound along x; a mouth at 60 degrees from it, likeness 1/4; one at 45 degrees, likeness 1/2."""
    sixty = torch.tensor([[math.cos(math.pi / 3), math.sin(math.pi / 3)]])
    return torch.tensor([[2.0, 0.0]]), sixty * 5, torch.tensor([[3.0, 3.0]])


def test_correlation_loss_by_hand():
    sound, sixty, forty_five = changes()
    torch.testing.assert_close(losses.correlation(sound, sixty, forty_five, alpha=2.0).item(), 0.75 + 2 * 0.5)


def test_triplet_loss_by_hand():
    sound, sixty, forty_five = changes()
    torch.testing.assert_close(losses.triplet(sound, sixty, forty_five, margin=0.1).item(), 0.1 + 0.5 - 0.25)
    assert losses.triplet(sound, forty_five, sixty, margin=0.1).item() == 0  # right order, further than the margin


def test_correlation_on_frames_teaches_the_drawn_mouth_alone(features):
    sound, last, drawn, _ = (part.clone().requires_grad_() for part in features)
    loss = losses.correlation_on_frames(sound, last, drawn)
    loss.backward()
    assert sound.grad is None
    assert last.grad is None
    moved = drawn.detach() - 0.1 * drawn.grad
    assert losses.correlation_on_frames(sound, last, moved) < loss


def test_correlation_teaches_both_encoders_and_frames_teach_only_where_they_are_cut():
    torch.manual_seed(1)
    sound, mouth = shaken(SoundEncoder(TINY)), shaken(MouthEncoder(TINY))
    frames, centres = torch.rand(6, 3, 128, 128, requires_grad=True), torch.full((6, 2), 64)
    now, near, far = mouth(crop_mouths(frames, centres)).chunk(3)
    heard = sound(torch.randn(4, 1, 80, 16)).chunk(2)
    losses.correlation(heard[1] - heard[0], near - now, far - now).backward()
    for net in (sound, mouth):
        assert all(p.grad is not None for p in net.parameters() if p.requires_grad)
    assert frames.grad[:, :, 46:82, 46:82].abs().sum() > 0
    assert frames.grad[:, :, :46].abs().sum() == 0
    assert not mouth.features.weight.requires_grad  # as published


def test_mouths_are_cut_at_their_centre_and_never_beyond_the_frame():
    frames = torch.zeros(3, 3, 256, 256)
    frames[:, :, 100, 120] = 1.0
    centres = torch.tensor([[120, 100], [5, 300], [130, 100]])
    mouths = crop_mouths(frames, centres)
    assert mouths.shape == (3, 3, 112, 112)
    assert mouths[1].max() == -1  # moved to the lower left corner, where nothing is
    for mouth, x in ((mouths[0], 36), (mouths[2], 26)):
        row, column = divmod(int(mouth[0].argmax()), 112)
        assert abs((row + 0.5) * 72 / 112 - 36.5) < 0.5
        assert abs((column + 0.5) * 72 / 112 - (x + 0.5)) < 0.5


@torch.no_grad()
def test_redrawing_follows_the_gate_and_is_the_published_net():
    redrawer = shaken(Redrawer(TINY))
    mouths, weights = torch.rand(1, 3, 32, 32) * 2 - 1, torch.rand(1, 6)
    got = redrawer(mouths, weights)
    x = redrawer.down(mouths)
    weighed = torch.einsum("bcc,bchw->bchw", torch.diag_embed(weights), redrawer.proj1(x))
    want = torch.tanh(redrawer.last(redrawer.up(redrawer.res(x + redrawer.proj2(weighed)))))
    torch.testing.assert_close(got, want)
    assert got.shape == mouths.shape
    assert (redrawer(mouths, 1 - weights) - got).abs().max() > 1e-3


def test_expression_size_by_hand():
    two_persons = torch.tensor([[[1.0, -2.0, 0.0], [0.0, 0.0, 1.0]], [[0.0, 0.0, 0.0], [0.0, 4.0, 0.0]]])
    assert losses.expression_size(two_persons).item() == 2.0


def test_told_motion_is_how_far_from_its_place_a_point_is_fetched():
    cells = (torch.arange(16) + 0.5) / 8 - 1
    back = torch.zeros(2, 3, 16, 16, 3)
    back[..., 0], back[..., 1] = cells + 0.2, cells[:, None] + 0.1  # 0.1 and 0.05 of the picture right and down
    back[..., 2] = torch.rand(2, 3, 16, 16)
    frame = 0.1 + 0.8 * torch.rand(2, 478, 2)
    photo = frame + torch.tensor([0.1, 0.05])
    assert losses.told_motion(back, torch.stack([photo, frame], 1)).item() < 1e-6
    assert losses.told_motion(back, torch.stack([frame, frame], 1)).item() == pytest.approx(0.15, abs=1e-6)


def test_told_points_are_how_far_key_points_are_from_their_mesh_points():
    meshes = torch.rand(2, 2, 478, 2)
    source, driving = (2 * meshes[:, i, [17, 0, 61]] - 1 for i in (0, 1))
    deep = [torch.cat([points, torch.rand(2, 3, 1)], 2) for points in (source, driving)]
    assert losses.told_points(*deep, meshes).item() == 0
    assert losses.told_points(deep[0] + 0.5, deep[1], meshes).item() == pytest.approx(0.25)


def test_kl_divergence_by_hand():
    assert losses.kl_divergence(Spread(torch.zeros(2, 3), torch.zeros(2, 3))).item() == 0
    one = Spread(torch.tensor([[1.0]]), torch.tensor([[math.log(2.0)]]))
    torch.testing.assert_close(losses.kl_divergence(one).item(), -0.5 * (1 + math.log(2) - 1 - 2))


def test_the_pose_critic_scores_every_fourth_frame_and_teaches_the_poses():
    torch.manual_seed(2)
    poses = torch.randn(2, 32, 6, requires_grad=True)
    scores = PoseCritic()(poses)
    assert scores.shape == (2, 8)
    hinge_generator(scores).backward()
    assert poses.grad.abs().sum() > 0
