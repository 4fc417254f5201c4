import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from kernels.errors import ShapeError
from kernels.splat import splat


@given(batch=st.integers(1, 3), points=st.integers(1, 40), height=st.integers(1, 9), width=st.integers(2, 11))
def test_splat_is_the_transpose_of_bilinear_sampling(batch, points, height, width):
    torch.manual_seed(points)
    size = torch.tensor([width, height], dtype=torch.float64)
    position = torch.rand(batch, points, 2, dtype=torch.float64) * (size + 4) - 2
    values = torch.randn(batch, 3, points, dtype=torch.float64)
    grid = torch.randn(batch, 3, height, width, dtype=torch.float64)
    normalised = (position + 0.5) / size * 2 - 1
    sampled = F.grid_sample(grid, normalised[:, None], align_corners=False, padding_mode="zeros")[:, :, 0]
    # <splat(values), grid> = <values, sample(grid)> defines the transpose
    splatted = splat(position, values, height, width)
    torch.testing.assert_close((splatted * grid).sum(), (values * sampled).sum())


def test_a_point_on_a_cell_gives_all_it_has_to_that_cell():
    out = splat(torch.tensor([[[2.0, 1.0]]]), torch.tensor([[[5.0]]]), 3, 4)
    assert out[0, 0, 1, 2] == 5.0
    assert out.sum() == 5.0


def test_batch_rows_do_not_mix():
    position = torch.tensor([[[0.0, 0.0]], [[1.0, 1.0]]])
    out = splat(position, torch.tensor([[[1.0]], [[2.0]]]), 2, 2)
    assert out[:, 0].tolist() == [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]]]


def test_positions_that_do_not_fit_the_values_are_refused():
    with pytest.raises(ShapeError, match=r"want \[1, 3, 2\]"):
        splat(torch.zeros(1, 2, 2), torch.zeros(1, 1, 3), 2, 2)
