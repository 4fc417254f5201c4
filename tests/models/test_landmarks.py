import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.visavis.landmarks import (
    CROP_PX,
    EYE_GAPS,
    LEFT_EYELIDS,
    LIP_GAPS,
    POINTS,
    RIGHT_EYELIDS,
    WEIGHTS,
    Placement,
    align,
    cut,
    load_net,
    locate,
)


def placements():
    return st.builds(
        lambda side_px, angle_rad, x_px, y_px: Placement(side_px * np.exp(1j * angle_rad), complex(x_px, y_px)),
        st.floats(20, 900),
        st.floats(-3, 3),
        st.floats(-500, 500),
        st.floats(-500, 500),
    )


@given(placements())
def test_photo_and_crop_units_undo_each_other(place):
    points = np.array([[0.0, 0.0], [1.0, 0.5], [-0.3, 0.8]])
    np.testing.assert_allclose(place.to_crop(place.to_photo(points)), points, atol=1e-9)


@given(placements())
def test_align_finds_the_crop_in_which_a_face_has_the_mean_shape(place):
    shape = load_net().mean_shape.double().numpy()
    found = align(shape, place.to_photo(shape))
    assert abs(found.turn - place.turn) < 1e-6
    assert abs(found.corner - place.corner) < 1e-6


def test_an_upright_crop_has_its_centre_where_it_was_asked_for():
    place = Placement.upright(30.0, 40.0, 20.0)
    np.testing.assert_allclose(place.to_photo(np.array([[0.5, 0.5], [0.0, 1.0]])), [[30, 40], [20, 50]])
    assert (place.side_px, place.roll_deg) == (20.0, 0.0)


@pytest.mark.parametrize("side_px", [60, 128, 300])
@pytest.mark.parametrize("turn_deg", [0, 30, -90])
def test_a_crop_shows_the_pixels_that_its_placement_names(side_px, turn_deg):
    y, x = np.mgrid[:500, :600] + 0.5
    photo = np.stack([x * 0.4, y * 0.4, x * 0], axis=-1).astype(np.uint8)
    turn = side_px * np.exp(1j * np.radians(turn_deg))
    place = Placement(turn, 300 + 250j - turn * (0.5 + 0.5j))
    steps = (np.arange(CROP_PX) + 0.5) / CROP_PX
    want = place.to_photo(np.stack(np.meshgrid(steps, steps), axis=-1)) * 0.4
    got = (cut(photo, place)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    np.testing.assert_allclose(got[..., :2], want, atol=1.2)


def test_beyond_the_photo_its_edge_is_repeated():
    photo = np.full((50, 50, 3), 200, np.uint8)
    photo[:, -1] = 10
    crop = (cut(photo, Placement.upright(100.0, 25.0, 40.0)) + 1) * 127.5
    torch.testing.assert_close(crop, torch.full_like(crop, 10.0), atol=0.01, rtol=0)


def test_mirroring_twice_gives_every_point_back():
    mirror = load_net().mirror.long()
    assert torch.equal(mirror[mirror], torch.arange(POINTS))


def test_mirroring_swaps_the_sides_of_the_face():
    mirror = load_net().mirror.long()
    pairs = {33: 263, 133: 362, 159: 386, 145: 374, 61: 291, 78: 308, 234: 454, 468: 473, 469: 476, 470: 475}
    pairs |= {81: 311, 87: 317, 1: 1, 4: 4, 10: 10, 152: 152, 13: 13, 14: 14, 0: 0, 17: 17}
    assert {left: int(mirror[left]) for left in pairs} == pairs
    assert mirror[list(RIGHT_EYELIDS)].tolist() == list(LEFT_EYELIDS)


def test_the_mean_face_is_its_own_mirror_image():
    net = load_net()
    torch.testing.assert_close(net.unmirrored(net.mean_shape), net.mean_shape, atol=1e-3, rtol=0)


def test_lips_and_lids_are_listed_upper_point_first():
    mean = load_net().mean_shape
    assert all(mean[upper, 1] < mean[lower, 1] for upper, lower in LIP_GAPS + EYE_GAPS)


def test_the_shipped_weights_are_small_and_finite():
    assert WEIGHTS.stat().st_size <= 4_000_000
    assert all(torch.isfinite(t).all() for t in load_net().state_dict().values())


def test_a_mirrored_photo_gives_the_mirrored_points():
    net = load_net()
    photo = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    place = Placement.upright(100, 100, 180)
    points = torch.from_numpy(locate(net, photo, place))
    mirrored = torch.from_numpy(locate(net, photo[:, ::-1].copy(), place))
    torch.testing.assert_close(net.unmirrored(mirrored / 200) * 200, points, atol=0.01, rtol=0)
