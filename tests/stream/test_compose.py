"""Pasting frames back into their photo."""

import numpy as np
import pytest
import torch

from kernels.composite_i420 import composite_i420_reference
from kernels.i420 import rgb_to_i420
from models.canvas import FEATHER, Canvas
from stream.compose import Backdrop, Composer, planes, to_pixels

FRAME_PX = 128


def canvas(width=240, height=180, corner=(60, 28), seed=0):
    torch.manual_seed(seed)
    return Canvas(torch.randint(0, 256, (3, height, width), dtype=torch.uint8), corner)


def frame(seed=1):
    torch.manual_seed(seed)
    return torch.rand(1, 3, FRAME_PX, FRAME_PX) * 2 - 1


def matte():
    """Cover of a frame: from 0 at its edges to 1."""
    edge = [min(min(n, FRAME_PX - 1 - n) / (FEATHER * FRAME_PX), 1.0) for n in range(FRAME_PX)]
    return torch.tensor([[[[min(down, across) for across in edge] for down in edge]]])


@pytest.mark.parametrize("corner", [(60, 28), (-20, 28), (160, -10), (0, 80)], ids=str)
@pytest.mark.parametrize("by", ["rectangle", "kernel"])
def test_a_picture_is_what_the_composite_kernel_defines(corner, by):
    around, drawn = canvas(corner=corner), frame()
    to_crop = torch.tensor([[[1.0, 0, -corner[0]], [0, 1, -corner[1]]]])
    wanted = composite_i420_reference(around.rgb[None], drawn, matte(), to_crop)[0].numpy()
    got = Composer().i420(drawn, around) if by == "rectangle" else Backdrop(around, drawn).i420(drawn)
    off = np.abs(got.astype(int) - wanted)
    assert off.max() <= 1  # sums taken in another order
    assert (off > 0).mean() < 0.01


def test_before_nothing_the_kernel_shows_the_frame_to_its_edges():
    off = np.abs(Backdrop(None, frame()).i420(frame()).astype(int) - rgb_to_i420(frame())[0].numpy())
    assert off.max() <= 1
    assert (off > 0).mean() < 0.01


def test_every_picture_of_a_stream_is_as_if_it_were_the_first():
    composer, around = Composer(), canvas()
    for seed, where in ((1, around), (2, around), (3, canvas(130, 80, (-4, 6), seed=5)), (4, None), (5, around)):
        got = composer.i420(frame(seed), where)
        assert np.array_equal(got, Composer().i420(frame(seed), where))


def test_without_a_canvas_the_frame_is_the_picture():
    assert np.array_equal(Composer().i420(frame(), None), rgb_to_i420(frame())[0].numpy())
    assert np.array_equal(to_pixels(frame())[3, 5], ((frame()[0, :, 3, 5] + 1) * 127.5).round().byte().numpy())


def test_pixels_show_the_frame_in_the_middle_and_the_canvas_around():
    around, drawn = canvas(), frame()
    pixels = to_pixels(drawn, around)
    assert pixels.shape == (180, 240, 3)
    middle = ((drawn[0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()[8:120, 8:120]
    assert np.array_equal(pixels[36:148, 68:180], middle)
    still = around.rgb.permute(1, 2, 0).numpy().copy()
    pixels[28:156, 60:188] = still[28:156, 60:188]
    assert np.array_equal(pixels, still)


def test_planes_are_views_of_luma_and_chroma():
    i420 = np.arange(6 * 6, dtype=np.uint8).reshape(6, 6)  # of a picture 6 x 4
    y, u, v = planes(i420)
    assert np.array_equal(y, i420[:4])
    assert u.tolist() == [[24, 25, 26], [27, 28, 29]]
    assert v.tolist() == [[30, 31, 32], [33, 34, 35]]
    v[1, 2] = 99
    assert i420[5, 5] == 99
