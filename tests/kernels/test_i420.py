import pytest
import torch

from kernels.errors import ShapeError
from kernels.i420 import rgb_to_i420, rgb_to_i420_reference


def one_colour(red: int, green: int, blue: int) -> torch.Tensor:
    """A 2 x 2 frame of one 8-bit colour."""
    return (torch.tensor([red, green, blue]).float() / 127.5 - 1).view(1, 3, 1, 1).expand(1, 3, 2, 2)


@pytest.mark.parametrize("convert", [rgb_to_i420, rgb_to_i420_reference])
@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [  # the colour bars of BT.601, limited range
        ((0, 0, 0), (16, 128, 128)),
        ((255, 255, 255), (235, 128, 128)),
        ((255, 0, 0), (81, 90, 240)),
        ((0, 255, 0), (145, 54, 34)),
        ((0, 0, 255), (41, 240, 110)),
        ((255, 255, 0), (210, 16, 146)),
    ],
)
def test_primaries_have_the_codes_of_bt601(convert, rgb, yuv):
    assert convert(one_colour(*rgb)).flatten().tolist() == [yuv[0]] * 4 + [yuv[1], yuv[2]]


def test_a_chroma_sample_is_the_mean_of_its_own_four_pixels():
    rgb = torch.zeros(1, 3, 4, 4)
    rgb[0, :, 0, 1] = torch.tensor([1.0, -1.0, -1.0])  # one red pixel, in the first quad
    _, u, v = rgb_to_i420(rgb).flatten().split([16, 4, 4])
    grey = 128
    assert u[1:].tolist() == v[1:].tolist() == [grey] * 3
    assert v[0].item() == 128 + round((240 - 128) / 4)
    assert u[0].item() == 119  # 128 - 37.8 / 4 = 118.55


def test_planes_lie_row_after_row():
    rgb = -torch.ones(1, 3, 4, 6)
    rgb[0, :, 1, 2] = 1.0
    y = rgb_to_i420(rgb)[0, :4]
    assert (y == 235).nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize("size", [(1, 2, 2), (2, 14, 6), (3, 256, 256)], ids=str)
def test_op_equals_reference_within_one_level(size):
    batch, height, width = size
    torch.manual_seed(0)
    rgb = torch.randn(batch, 3, height, width)  # beyond -1 and 1 too
    off = (rgb_to_i420(rgb).int() - rgb_to_i420_reference(rgb.double()).int()).abs()
    # float32 may land on the other side of a .5 tie: one level, rarely
    assert off.max() <= 1
    assert (off > 0).float().mean() <= 1e-3


@pytest.mark.parametrize("shape", [(1, 3, 3, 4), (1, 3, 4, 3), (1, 1, 4, 4), (3, 4, 4)])
def test_odd_sides_and_other_channel_counts_are_refused(shape):
    with pytest.raises(ShapeError, match="even H and W"):
        rgb_to_i420(torch.zeros(shape))
