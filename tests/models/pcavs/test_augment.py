"""The non-identity augmentation, piece by piece."""

import pytest
import torch

from models.pcavs.augment import (
    Augmentation,
    augment,
    blur,
    corners,
    filter_px,
    homography,
    perspective,
    recolour,
    reshape,
    sharpen,
)

STILL = Augmentation(
    gain=1.0, channels=(0, 3), tall=True, squeeze_px=0, extra_px=0, narrow_px=0, enlarge_px=20, median=None
)


def test_gain_changes_the_named_channels_and_clips():
    got = recolour(torch.full((1, 3, 1, 1), 0.8), 1.5, (1, 3))
    torch.testing.assert_close(got.flatten(), torch.tensor([0.8, 1.0, 1.0]))


def test_draws_keep_to_the_published_ranges_and_repeat_with_their_seed():
    random = torch.Generator().manual_seed(0)
    draws = [Augmentation.draw(random) for _ in range(300)]
    assert {d.median for d in draws} == {None, 3, 5, 7, 9}
    assert {d.channels for d in draws} == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)}
    assert {abs(d.narrow_px) for d in draws} == set(range(20, 30))
    assert {abs(d.enlarge_px) for d in draws} == set(range(20, 40))
    assert {d.squeeze_px for d in draws} == set(range(15, 25))
    assert all(0.3 <= d.gain <= 1.6 and 0 <= d.extra_px < d.squeeze_px // 2 for d in draws)
    assert {d.tall for d in draws} == {True, False}
    again = torch.Generator().manual_seed(0)
    assert [Augmentation.draw(again) for _ in range(5)] == draws[:5]


def test_a_homography_moves_its_four_points():
    before = torch.tensor([[0.0, 0.0], [0.0, 10.0], [10.0, 0.0], [10.0, 10.0]])
    after = torch.tensor([[1.0, -1.0], [2.0, 9.0], [12.0, 0.0], [9.0, 11.0]])
    moved = torch.cat([before, torch.ones(4, 1)], 1) @ homography(before, after).t()
    torch.testing.assert_close(moved[:, :2] / moved[:, 2:], after, atol=1e-4, rtol=1e-4)


def test_perspective_takes_each_pixel_from_where_it_was():
    picture = torch.rand(1, 3, 8, 8)
    corners = torch.tensor([[0.0, 0.0], [0.0, 7.0], [7.0, 0.0], [7.0, 7.0]])
    shifted = perspective(picture, corners, corners + torch.tensor([2.0, 1.0]), 8)
    torch.testing.assert_close(shifted[:, :, 1:, 2:], picture[:, :, :-1, :-2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shifted[:, :, 0, 2:], picture[:, :, 0, :-2], atol=1e-5, rtol=1e-5)  # edge repeated


def test_without_squeeze_and_perspective_nothing_moves():
    picture = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(reshape(picture, STILL), picture, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("tall", "axis"), [(True, 3), (False, 2)])
def test_squeezing_brings_the_sides_of_one_axis_inwards(tall, axis):
    ramp = torch.arange(56.0) / 55.0
    picture = (ramp[None, :] if axis == 3 else ramp[:, None]).expand(1, 3, 56, 56)
    how = Augmentation(1.0, (0, 3), tall, squeeze_px=16, extra_px=0, narrow_px=0, enlarge_px=20, median=None)
    line = reshape(picture, how)[0, 0].mean(1 if axis == 2 else 0)
    # 16 of 224 px are 4 of 56: what was the edge lies 4 px inside, and beyond it the picture is mirrored
    assert line[4].item() == pytest.approx(0.0, abs=0.01)
    assert line[51].item() == pytest.approx(1.0, abs=0.01)
    assert line[0] > 0.05
    assert line[27:29].mean().item() == pytest.approx(0.5, abs=0.01)


def test_the_lower_corners_of_the_enlarged_square_move_inwards():
    before, after = corners(56.0, narrow=6.0, enlarge=5.0)
    assert before.tolist() == [[-5, -5], [-5, 61], [61, -5], [61, 61]]
    assert after.tolist() == [[-5, -5], [1, 61], [61, -5], [55, 61]]


@pytest.mark.parametrize(("face_px", "sides"), [(224, [3, 5, 7, 9]), (128, [3, 3, 5, 5]), (448, [5, 9, 13, 17])])
def test_the_median_filter_scales_with_the_face(face_px: int, sides: list[int]):
    assert [filter_px(median, face_px) for median in (3, 5, 7, 9)] == sides


def test_the_median_removes_a_dot_and_sharpening_makes_nine_of_it():
    dot = torch.zeros(1, 3, 7, 7)
    dot[:, :, 3, 3] = 0.1
    assert blur(dot, 3).abs().max() == 0
    assert blur(torch.ones(1, 3, 5, 5), 5).min() == 1  # edges are repeated, not dark
    assert sharpen(dot)[0, 0, 3, 3].item() == pytest.approx(0.9)
    assert sharpen(dot)[0, 0, 3, 4].item() == 0.0  # -0.1, clipped


def test_all_frames_of_a_clip_change_alike():
    frame = torch.rand(1, 3, 32, 32) * 2 - 1
    how = Augmentation.draw(torch.Generator().manual_seed(4))
    got = augment(torch.cat([frame, frame]), how)
    torch.testing.assert_close(got[0], got[1])
    assert got.shape == (2, 3, 32, 32)
    assert (got[0] - frame[0]).abs().mean() > 0.05
