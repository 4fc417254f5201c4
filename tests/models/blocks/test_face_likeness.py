"""What faces and mouths cost that are drawn otherwise than they are."""

import pytest
import torch

from models.blocks.face_likeness import FaceLikeness
from models.blocks.perceptual import Vgg19


@pytest.fixture(scope="module")
def likeness():
    return FaceLikeness(Vgg19.stand_in())


@pytest.fixture
def clip():
    torch.manual_seed(0)
    return torch.rand(2, 2, 3, 64, 64) * 2 - 1


def test_a_face_drawn_as_it_is_costs_nothing(likeness, clip):
    assert all(value.item() == 0 for value in likeness(clip, clip).values())


def test_a_shade_over_all_costs_ten_times_itself_and_is_no_motion(likeness, clip):
    losses = likeness(clip + 0.1, clip)
    assert losses["l1"].item() == pytest.approx(1.0, rel=1e-5)
    assert losses["motion"].item() == pytest.approx(0.0, abs=1e-4)
    assert losses["perceptual"].item() > 0


def test_mouths_that_stand_still_cost_their_motion_alone_wherever_else_faces_move(likeness, clip):
    moving, still = clip.clone(), clip.clone()
    moving[:, 0, :, 32:52, 22:42] = 0.2
    moving[:, 1, :, 32:52, 22:42] = -0.2
    still[..., 32:52, 22:42] = 0.0
    still[:, 0, :, :20] = -still[:, 0, :, :20]
    assert likeness(still, moving)["motion"].item() == pytest.approx(2.0, rel=1e-4)
    half = (still + moving) / 2
    assert likeness(half, moving)["motion"].item() == pytest.approx(2.0 / 4, rel=1e-4)
