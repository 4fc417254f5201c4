"""The photo around the frame."""

import numpy as np
import pytest

from models.visavis.fit import resample
from models.visavis.surroundings import surroundings


def ramp(height, width):
    """A photo that tells its places: red is x / 8, green is y / 8, both in grey levels."""
    rows, columns = np.mgrid[:height, :width] / 8
    return np.stack([columns, rows, np.zeros_like(rows)], -1).round().astype(np.uint8)


def test_the_whole_photo_is_kept_and_its_pixels_coincide_with_the_frames():
    photo, box = ramp(901, 1203), (301.5, 203.0, 301.5 + 512, 203.0 + 512)  # two photo px a canvas px
    canvas = surroundings(photo, box, 256)
    _, height, width = canvas.rgb.shape
    assert 1203 / 2 - 4 < width <= 1203 / 2
    assert 901 / 2 - 4 < height <= 901 / 2
    x, y = canvas.corner
    assert x % 2 == y % 2 == height % 2 == width % 2 == 0
    frame = resample(photo, box, (256, 256)).astype(int)
    there = canvas.rgb[:, y : y + 256, x : x + 256].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(there - frame).max() <= 1


@pytest.mark.parametrize(
    ("box", "left", "top"),
    [
        ((900.0, 100.0, 1156.0, 356.0), 388, 0),  # in the middle: as much on both sides
        ((10.0, 100.0, 266.0, 356.0), 0, 0),  # near the left edge: from there on
        ((1750.0, 100.0, 2006.0, 356.0), 720, 0),  # near the right one
    ],
)
def test_a_large_canvas_is_cut_around_the_head(box, left, top):
    canvas = surroundings(ramp(600, 2000), box, 256)
    assert canvas.rgb.shape == (3, 600, 1280)
    assert canvas.corner == (box[0] - left, box[1] - top)
    assert abs(int(canvas.rgb[0, 300, 640]) - (left + 640) / 8) <= 1


def test_a_frame_that_leaves_the_photo_lies_partly_outside_its_canvas():
    canvas = surroundings(ramp(300, 201), (-30.5, -8.0, 225.5, 248.0), 256)
    assert canvas.rgb.shape == (3, 300, 198)
    assert canvas.corner == (-32, -8)
