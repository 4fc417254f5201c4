import pytest
import torch

from models.equiav.inputs import centred, standard_rgb, standard_sound, strip


def test_sound_is_standardised_as_close_speech():
    assert standard_sound(torch.tensor([-7.5, 0.5])).tolist() == [0.0, 2.0]


def test_a_picture_is_scaled_by_its_shorter_side_and_cut_in_the_middle():
    picture = torch.zeros(3, 20, 40)
    picture[:, :, 10:30] = 1.0
    torch.testing.assert_close(centred(picture, 20), torch.ones(3, 20, 20))
    assert centred(picture, 10).shape == (3, 10, 10)


def test_rgb_is_standardised_as_imagenet():
    grey = standard_rgb(torch.full((2, 3, 1, 1), 0.5))
    assert grey[1].flatten().tolist() == pytest.approx([0.015 / 0.229, 0.044 / 0.224, 0.094 / 0.225])


def test_frames_lie_side_by_side():
    frames = torch.arange(2.0 * 3 * 2 * 2).reshape(1, 2, 3, 2, 2)
    got = strip(frames)
    assert got.shape == (1, 3, 2, 4)
    torch.testing.assert_close(got[0, 1], torch.cat([frames[0, 0, 1], frames[0, 1, 1]], 1))
