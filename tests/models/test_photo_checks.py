import numpy as np
import pytest
from PIL import Image, ImageFilter

from models.errors import PhotoError
from models.visavis.landmarks import Placement, load_net
from models.visavis.photo_checks import (
    check_face,
    check_sharp,
    check_taken,
    eye_distance_px,
    flatness,
    light,
    sharpness,
    yaw_deg,
)

SIDE_PX = 400
PLACE = Placement.upright(200, 200, SIDE_PX)


def points():
    return PLACE.to_photo(load_net().mean_shape.double().numpy())


def turned(share):
    """The mean face with its nose moved by a share of the width between the ears."""
    moved = points()
    moved[4, 0] += share * (moved[454, 0] - moved[234, 0])
    return moved


def photo(contrast=1.0):
    """Broad stripes, as brows and lids are, under grain about as fine as lashes."""
    grains = np.random.default_rng(0).normal(0, 20, (100, 100)).astype(np.float32)
    fine = np.array(Image.fromarray(grains).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))
    broad = 40 * np.sin(np.arange(SIDE_PX) / 15)[:, None]
    grey = (128 + contrast * (fine + broad)).clip(0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def check(photo, points_px, place):
    check_face(photo, points_px)
    check_taken(photo, place)
    check_sharp(photo, points_px, place)


def reason_of(*arguments):
    with pytest.raises(PhotoError) as caught:
        check(*arguments)
    return caught.value.reason, str(caught.value)


def test_a_face_that_is_large_straight_lit_and_sharp_passes():
    check(photo(), points(), PLACE)


def test_the_mean_face_looks_straight_ahead():
    assert abs(yaw_deg(points())) < 1


def test_yaw_is_positive_towards_the_pictures_right_and_free_of_roll():
    assert yaw_deg(turned(0.3)) == pytest.approx(-yaw_deg(turned(-0.3)), abs=1)
    assert 15 < yaw_deg(turned(0.3)) < 25
    rolled = (turned(0.3) - 200) @ np.array([[0.8, 0.6], [-0.6, 0.8]])
    assert yaw_deg(rolled) == pytest.approx(yaw_deg(turned(0.3)))


@pytest.mark.parametrize(("share", "side"), [(0.6, "right"), (-0.6, "left")])
def test_a_turned_face_is_told_which_way_it_looks(share, side):
    reason, text = reason_of(photo(), turned(share), PLACE)
    assert reason == "turned_away"
    assert f"picture's {side}" in text


def test_a_small_face_is_told_how_small():
    small = points() * 0.2
    reason, text = reason_of(photo(), small, Placement(PLACE.turn * 0.2, PLACE.corner * 0.2))
    assert reason == "too_small"
    assert f"{eye_distance_px(small):.0f} pixels" in text


def test_light_is_the_brightness_of_the_face_alone():
    picture = np.full((SIDE_PX, SIDE_PX, 3), 250, np.uint8)
    picture[80:350, 60:340] = 20
    assert light(picture, points()) == pytest.approx(20, abs=0.1)
    assert reason_of(picture, points(), PLACE)[0] == "dark"


def test_sharpness_falls_with_blur_and_not_with_contrast():
    sharp, pale = photo(), photo(contrast=0.5)
    soft = np.array(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(10)))
    assert sharpness(soft, points(), PLACE) < 0.3 * sharpness(sharp, points(), PLACE)
    assert sharpness(pale, points(), PLACE) == pytest.approx(sharpness(sharp, points(), PLACE), rel=0.1)
    assert reason_of(soft, points(), PLACE)[0] == "blurred"


def test_areas_of_one_colour_are_taken_for_a_drawing():
    drawn = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    assert flatness(photo(), PLACE) < 0.1
    assert flatness(np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8), PLACE) == 1.0
    drawn[:, :] = np.where(np.arange(SIDE_PX)[:, None, None] % 40 < 4, 20, 200)
    assert reason_of(drawn, points(), PLACE)[0] == "drawn"


def test_sharpness_does_not_depend_on_the_size_of_the_photo():
    large = np.array(Image.fromarray(photo()).resize((1200, 1200), Image.Resampling.BICUBIC))
    place = Placement.upright(600, 600, 1200)
    assert sharpness(large, points() * 3, place) == pytest.approx(sharpness(photo(), points(), PLACE), rel=0.15)


def test_a_face_that_reaches_out_of_the_photo_is_measured_in_what_there_is():
    picture = np.full((60, 60, 3), 100, np.uint8)
    assert light(picture, points() - 300) == pytest.approx(100, abs=0.1)
