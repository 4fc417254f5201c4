import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.contract import FLOATS
from kernels.errors import DtypeError, LayoutError, ShapeError
from kernels.splat import splat, splat_reference
from tests.kernels.poison import poisoned

# sums of up to some 20 points in float32, rounded once to the type of the values
TOLERANCES = {torch.float32: (1e-5, 1e-4), torch.float16: (1e-3, 1e-3), torch.bfloat16: (8e-3, 8e-3)}


def check(batch: int, channels: int, points: int, size: tuple[int, int], dtype: torch.dtype, device) -> None:
    """Triton against the reference in float64, on points that leave the grid on every side."""
    random = torch.Generator().manual_seed(points)
    place = torch.rand(batch, points, 2, generator=random) * (torch.tensor([size[1], size[0]]) + 4) - 2
    values = torch.randn(batch, channels, points, generator=random).to(dtype)
    got = splat(poisoned(place, device), poisoned(values, device), *size, impl="triton")
    wanted = splat_reference(place.double(), values.double(), *size)
    assert got.dtype == dtype
    rtol, atol = TOLERANCES[dtype]
    torch.testing.assert_close(got.cpu().double(), wanted, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_triton_matches_reference(dtype, device):
    check(2, 5, 301, (7, 13), dtype, device)


@settings(max_examples=10)
@given(
    batch=st.integers(1, 2),
    channels=st.integers(1, 4),
    points=st.integers(1, 150),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_triton_matches_reference_at_any_size(batch, channels, points, size, device):
    check(batch, channels, points, size, torch.float32, device)


@pytest.mark.parametrize("impl", ["reference", "triton"])
def test_points_far_away_give_nothing(impl, device):
    place = torch.tensor([[[1e5, 0.0], [0.0, -1e5]]], device=device)
    assert splat(place, torch.ones(1, 1, 2, device=device), 3, 4, impl=impl).count_nonzero() == 0


def test_compiler_and_export_take_the_operator(device):
    tensors = (torch.rand(2, 9, 2, device=device) * 5, torch.randn(2, 3, 9, device=device))
    torch.library.opcheck(torch.ops.visavis.splat.default, (*tensors, 4, 5))

    class Throw(torch.nn.Module):
        def forward(self, place: Tensor, values: Tensor) -> Tensor:
            return splat(place, values, 4, 5, impl="triton") + 1

    wanted = splat(*tensors, 4, 5, impl="triton") + 1
    torch.testing.assert_close(torch.compile(Throw(), backend="aot_eager", fullgraph=True)(*tensors), wanted)
    torch.testing.assert_close(torch.export.export(Throw(), tensors).module()(*tensors), wanted)


def test_strides_and_other_types_are_refused():
    with pytest.raises(LayoutError, match="values with strides"):
        splat(torch.zeros(1, 3, 2), torch.zeros(1, 3, 2).transpose(1, 2), 2, 2)
    with pytest.raises(DtypeError, match=r"values of torch.float64"):
        splat(torch.zeros(1, 3, 2), torch.zeros(1, 2, 3).double(), 2, 2, impl="triton")


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
