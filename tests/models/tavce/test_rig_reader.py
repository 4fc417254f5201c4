"""Coefficients off a picture: what mirrors with the face and what does not."""

import numpy as np
import torch

from models.rig import INDEX
from models.tavce.rig_reader import clip_coefficients, face_square, read_coefficients
from models.visavis.landmarks import cut
from tests.models.talking import portrait


def face():
    picture, points = portrait("ada")
    square = face_square(points[None])
    return (cut(picture, square, 96) + 1) / 2, points


def test_a_mirrored_face_turns_and_tilts_the_other_way_and_nods_alike():
    picture, _ = face()
    one, other = read_coefficients(picture)[0], read_coefficients(picture.flip(3))[0]
    assert one.shape == (70,)
    assert (one[52:64] == 0).all()
    pitch, yaw, roll = 64, 65, 66
    degree = np.radians(1)
    assert abs(one[yaw] + other[yaw]) < 3 * degree
    assert abs(one[roll] + other[roll]) < 3 * degree
    assert abs(one[pitch] - other[pitch]) < 3 * degree
    assert abs(one[67] + other[67]) < 0.03  # the neck, to the left or to the right
    assert abs(one[69] - other[69]) < 0.05  # as large
    left, right = INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]
    assert abs(one[left] - other[right]) < 0.2


def test_a_clip_is_read_as_its_pictures_are():
    picture, points = face()
    alone, clip = read_coefficients(picture)[0], torch.from_numpy(clip_coefficients(np.stack([points] * 4)))
    torch.testing.assert_close(clip[0], clip[3])
    assert (alone[64:67] - clip[0, 64:67]).abs().max() < np.radians(5)
    assert (alone[67:] - clip[0, 67:]).abs().max() < 0.05


def test_degrees_become_radians_with_the_signs_of_the_face_model():
    _, points = face()
    middle = points.mean(0)
    turn = np.radians(10)  # clockwise on the picture, which the rig counts as positive
    turned = (points - middle) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + middle
    straight, tilted = (clip_coefficients(np.stack([mesh] * 2))[0] for mesh in (points, turned))
    np.testing.assert_allclose(tilted[66] - straight[66], -turn, atol=np.radians(2))
