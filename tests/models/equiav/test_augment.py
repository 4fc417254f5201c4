import colorsys
from functools import cache

import pytest
import torch

from models.equiav.augment import (
    PUBLISHED_PICTURE,
    PUBLISHED_SOUND,
    TALKING_MOUTH,
    TALKING_SOUND,
    apply,
    draw,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@cache
def sound_vectors():
    return draw(400, (1024, 128), PUBLISHED_SOUND, generator())


@cache
def picture_vectors():
    return draw(400, (224, 224), PUBLISHED_PICTURE, generator())


def test_vectors_have_the_published_length():
    assert sound_vectors().shape == (400, 24)
    assert picture_vectors().shape == (400, 18)


@pytest.mark.parametrize(
    ("vectors", "entries"),
    [
        (sound_vectors, {0: 0.8, 5: 0.8, 7: 1.0, 12: 0.8, 21: 0.5, 23: 0.5}),
        (picture_vectors, {0: 1.0, 5: 0.8, 14: 0.5, 16: 0.5, 17: 0.2}),
    ],
)
def test_switches_are_on_as_often_as_published(vectors, entries):
    for entry, chance in entries.items():
        column = vectors()[:, entry]
        assert set(column.tolist()) <= {0.0, 1.0}
        assert column.mean().item() == pytest.approx(chance, abs=4 * (chance * (1 - chance) / 400) ** 0.5)


def test_masks_are_bounds_in_hops_and_bands_and_shifts_a_share():
    vectors = sound_vectors()
    off = vectors[:, 0] == 0
    assert vectors[off, :7].abs().sum() == 0
    first_hop, last_hop, first_band, last_band, _, shift = vectors[~off, 1:7].unbind(1)
    assert ((last_hop - first_hop).max(), (last_band - first_band).max()) <= (191, 47)
    assert (last_hop - first_hop).max() > 150
    assert (last_band - first_band).max() > 38
    assert last_hop.max() <= 1024
    assert last_band.max() <= 128
    assert (vectors[:, 1:5] == vectors[:, 1:5].floor()).all()
    assert -1 <= shift.min() < -0.9
    assert 0.9 < shift.max() < 1


def test_crops_have_the_published_areas_and_ratios():
    top, left, height, width = (picture_vectors()[:, 1:5] * 224).unbind(1)
    assert (top + height).max() <= 224.01
    assert (left + width).max() <= 224.01
    assert (height * width / 224**2).min() > 0.075
    assert (width / height).log().abs().max() < torch.tensor(4 / 3).log() + 0.05
    # of sound, published code divides hops by the number of bands and bands by the number of hops
    top, left, height, width = sound_vectors()[:, 8:12].unbind(1)
    assert ((top + height) * 128).max() <= 1024.01
    assert ((left + width) * 1024).max() <= 128.01
    assert (width * 1024 / (height * 128)).min() > 0.09
    assert (width * 1024 / (height * 128)).max() < 0.2


@pytest.mark.parametrize(("vectors", "start"), [(sound_vectors, 12), (picture_vectors, 5)])
def test_jitter_has_an_order_and_four_amounts(vectors, start):
    block = vectors()[:, start : start + 9]
    assert (block[:, 1:5].sort(1).values == torch.arange(4)).all()
    off = block[:, 0] == 0
    assert (block[off, 1:5] == torch.arange(4)).all()
    assert block[off, 5:].abs().sum() == 0
    reach = block[:, 5:].abs().amax(0)
    assert (reach <= torch.tensor([0.4, 0.4, 0.4, 0.1])).all()
    assert (reach > torch.tensor([0.38, 0.38, 0.38, 0.095])).all()


def test_blur_widths_are_told_only_where_blur_is_on():
    sigma, on = picture_vectors()[:, 15], picture_vectors()[:, 14] > 0
    assert (sigma[~on] == 0).all()
    assert sigma[on].min() >= 0.1
    assert 1.8 < sigma[on].max() <= 2.0


def whole(count, ranges, size):
    """Vectors that crop to everything and do nothing else."""
    start = 7 if ranges.sound else 0
    vectors = torch.zeros(count, 24 if ranges.sound else 18)
    rows, columns = size
    vectors[:, start + 3] = rows / columns if ranges.sound else 1.0
    vectors[:, start + 4] = columns / rows if ranges.sound else 1.0
    vectors[:, start + 6 : start + 10] = torch.arange(4.0)
    return vectors


def test_nothing_is_done_where_the_vector_says_nothing():
    pictures = torch.rand(2, 3, 24, 40, generator=generator())
    got = apply(pictures, whole(2, TALKING_MOUTH, (24, 40)), TALKING_MOUTH)
    torch.testing.assert_close(got, pictures, atol=1e-5, rtol=0)


def test_sound_is_masked_then_rolled_in_time():
    sound = torch.randn(1, 1, 64, 128, generator=generator())
    vectors = whole(1, TALKING_SOUND, (64, 128))
    vectors[0, :7] = torch.tensor([1, 10, 20, 30, 40, 1, 5 / 64])
    want = sound.clone()
    want[..., 10:20, :] = 0
    want[..., 30:40] = 0
    torch.testing.assert_close(apply(sound, vectors, TALKING_SOUND), want.roll(5, 2), atol=1e-4, rtol=0)


def test_a_crop_is_enlarged_to_the_whole():
    picture = torch.zeros(1, 3, 24, 40)
    picture[..., 6:18, 10:30] = 1.0
    vectors = whole(1, TALKING_MOUTH, (24, 40))
    vectors[0, 1:5] = torch.tensor([7 / 24, 11 / 40, 10 / 24, 18 / 40])
    torch.testing.assert_close(apply(picture, vectors, TALKING_MOUTH), torch.ones_like(picture))


def jittered(pictures, amounts, order=(0, 1, 2, 3), ranges=TALKING_MOUTH):
    vectors = whole(len(pictures), TALKING_MOUTH, pictures.shape[2:])
    vectors[:, 5] = 1
    vectors[:, 6:10] = torch.tensor(order)
    vectors[:, 10:14] = torch.tensor(amounts)
    return apply(pictures, vectors, ranges)


def test_colour_follows_its_amounts_in_their_order():
    pictures = 0.2 + 0.3 * torch.rand(2, 3, 4, 6, generator=generator())
    luma = (pictures * torch.tensor([0.2989, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    middle = luma.mean((2, 3), keepdim=True)
    close = {"atol": 1e-5, "rtol": 0}
    torch.testing.assert_close(jittered(pictures, (0.4, 0.0, 0.0, 0.0)), 1.4 * pictures, **close)
    contrast = middle + 0.7 * (pictures - middle)
    torch.testing.assert_close(jittered(pictures, (0.0, -0.3, 0.0, 0.0)), contrast, **close)
    torch.testing.assert_close(jittered(pictures, (0.0, 0.0, -0.4, 0.0)), luma + 0.6 * (pictures - luma), **close)
    bright = pictures + 0.4  # 1.4 times is too much for 1.0: order shows
    first = jittered(bright, (0.4, -0.4, 0.0, 0.0), order=(0, 1, 2, 3))
    assert (first - jittered(bright, (0.4, -0.4, 0.0, 0.0), order=(1, 0, 2, 3))).abs().max() > 0.01


def test_hue_turns_as_colorsys_turns_it():
    pictures = torch.rand(1, 3, 4, 6, generator=generator())
    got = jittered(pictures, (0.0, 0.0, 0.0, 0.1), ranges=PUBLISHED_PICTURE)[0]
    for row in range(4):
        for column in range(6):
            hue, saturation, value = colorsys.rgb_to_hsv(*pictures[0, :, row, column].tolist())
            want = colorsys.hsv_to_rgb((hue + 0.1) % 1, saturation, value)
            assert got[:, row, column].tolist() == pytest.approx(want, abs=1e-4)


def test_blur_is_a_gaussian_cut_at_the_next_whole_sigma():
    point = torch.zeros(1, 3, 9, 9)
    point[..., 4, 4] = 1.0
    vectors = whole(1, TALKING_MOUTH, (9, 9))
    vectors[0, 14:16] = torch.tensor([1.0, 0.8])
    got = apply(point, vectors, TALKING_MOUTH)[0, 0]
    side = torch.exp(torch.tensor(-1 / (2 * 0.8**2)))
    line = torch.stack([side, torch.tensor(1.0), side]) / (1 + 2 * side)
    torch.testing.assert_close(got[3:6, 3:6], line[:, None] * line, atol=1e-5, rtol=0)
    assert got.sum().item() == pytest.approx(1, abs=1e-4)


def test_flip_and_grey_are_applied_row_by_row():
    pictures = torch.rand(2, 3, 4, 6, generator=generator())
    vectors = whole(2, TALKING_MOUTH, (4, 6))
    vectors[0, 16] = 1
    vectors[1, 17] = 1
    got = apply(pictures, vectors, TALKING_MOUTH)
    torch.testing.assert_close(got[0], pictures[0].flip(2), atol=1e-5, rtol=0)
    grey = (pictures[1] * torch.tensor([0.2989, 0.587, 0.114])[:, None, None]).sum(0)
    torch.testing.assert_close(got[1], grey.expand(3, 4, 6), atol=1e-5, rtol=0)


def test_published_jitter_bounds_values_and_the_talking_one_does_not():
    sound = 3 * torch.randn(1, 1, 64, 128, generator=generator())
    vectors = whole(1, TALKING_SOUND, (64, 128))
    vectors[0, 12] = 1
    assert apply(sound, vectors, PUBLISHED_SOUND).aminmax() == (0.0, 1.0)
    torch.testing.assert_close(apply(sound, vectors, TALKING_SOUND), sound, atol=1e-4, rtol=0)


def test_talking_faces_are_never_masked_and_sound_never_flipped():
    vectors = draw(200, (64, 128), TALKING_SOUND, generator())
    assert vectors[:, :5].abs().sum() == 0
    assert vectors[:, 23].sum() == 0
    assert 0.25 < vectors[:, 6].abs().max() <= 0.3
