import pytest
import torch

from models.blocks.warp import identity_grid, warp, warp_planes


def test_the_identity_grid_gives_the_source_back_when_corners_are_aligned():
    torch.manual_seed(0)
    for size in ((5, 7), (3, 5, 4)):
        source = torch.rand(2, 2, *size)
        grid = identity_grid(size, source).expand(2, *size, len(size))
        torch.testing.assert_close(warp(source, grid, align_corners=True), source)


def test_without_aligned_corners_the_end_points_read_half_a_cell_outside():
    source = torch.tensor([2.0, 4.0, 8.0])[None, None, None].expand(1, 1, 1, 3)
    grid = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])[None, None]
    torch.testing.assert_close(warp(source, grid, align_corners=False), torch.tensor([[[[1.0, 4.0, 4.0]]]]))


def test_the_last_axis_is_x_y_z():
    volume = torch.arange(24.0).reshape(1, 1, 2, 3, 4)  # z, y, x
    point = torch.tensor([[[[[1.0, -1.0, 1.0]]]]])  # last x, first y, last z
    assert warp(volume, point, align_corners=True).item() == volume[0, 0, 1, 0, 3]
    assert identity_grid((2, 3, 4), volume)[1, 0, 3].tolist() == [1.0, -1.0, 1.0]


@pytest.mark.parametrize("align_corners", [True, False])
def test_plane_by_plane_a_volume_is_warped_alike(align_corners):
    torch.manual_seed(1)
    volume, grid = torch.rand(2, 3, 4, 5, 6), torch.rand(2, 3, 2, 7, 3) * 3 - 1.5  # some of it outside
    want = warp(volume, grid, align_corners=align_corners)
    torch.testing.assert_close(warp_planes(volume, grid, align_corners=align_corners), want, atol=1e-5, rtol=0)
