"""Pose sources: clips forth and back, live codes, angles."""

import pytest
import torch

from models.blocks.pose import ANGLE_COLUMNS, PoseMap, PoseSource, back_and_forth, pose_map_loss
from models.rig import CONTROLS


def test_a_clip_is_played_forth_and_back():
    assert [back_and_forth(f, 3) for f in range(10)] == [0, 1, 2, 2, 1, 0, 0, 1, 2, 2]
    assert {back_and_forth(f, 1) for f in range(5)} == {0}


def test_rows_follow_clips_of_any_length_and_start_again_alone():
    source = PoseSource.fresh(2, 1)
    clips = [torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[7.0]])]
    shown = [source.next(clips).flatten().tolist() for _ in range(4)]
    assert shown == [[0, 7], [1, 7], [2, 7], [2, 7]]
    source.reset(torch.tensor([True, False]))
    assert source.next(clips).flatten().tolist() == [0, 7]
    assert source.frame.tolist() == [1, 5]


def test_a_live_code_is_shown_until_the_next_or_a_reset():
    source, clips = PoseSource.fresh(2, 1), [torch.tensor([[1.0]])] * 2
    source.follow(1, torch.tensor([9.0]))
    assert source.next(clips).flatten().tolist() == [1, 9]
    assert source.next(clips).flatten().tolist() == [1, 9]
    source.reset(torch.tensor([False, True]))
    assert source.next(clips).flatten().tolist() == [1, 1]


def test_no_angle_is_no_change_and_angles_are_read_from_the_rig():
    torch.manual_seed(0)
    pose_map = PoseMap(8, 4)
    assert pose_map(torch.zeros(2, 3)).abs().max() == 0
    assert pose_map(torch.tensor([[15.0, 0.0, 0.0]])).abs().max() > 0.01
    assert [CONTROLS[i] for i in ANGLE_COLUMNS] == ["headYaw", "headPitch", "headRoll"]


def test_the_map_learns_the_difference_to_rest_and_moves_nothing_else():
    torch.manual_seed(0)
    pose_map = PoseMap(8, 2)
    codes, rest = torch.tensor([[3.0, 1.0]], requires_grad=True), torch.tensor([[1.0, 1.0]], requires_grad=True)
    still = pose_map_loss(pose_map, torch.zeros(1, 3), codes, rest)
    assert still.item() == pytest.approx((2.0**2 + 0.0) / 2)
    pose_map_loss(pose_map, torch.ones(1, 3), codes, rest).backward()
    assert pose_map.outer.weight.grad.abs().sum() > 0
    assert codes.grad is None
    assert rest.grad is None
