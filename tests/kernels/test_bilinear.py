"""Enlargement: the exported form equals the plain one."""

import pytest
import torch
import torch.nn.functional as F

from kernels.bilinear import enlarged


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1, 4, 4), (2, 3, 7, 5), (1, 2, 1, 6)])
def test_it_is_torchs_interpolation_however_it_is_run(factor, shape):
    grid = torch.randn(shape)
    traced = torch.jit.trace(lambda x: enlarged(x, factor), torch.zeros(shape), check_trace=False)
    want = F.interpolate(grid, scale_factor=float(factor), mode="bilinear", align_corners=False)
    assert "matmul" in str(traced.inlined_graph)
    torch.testing.assert_close(traced(grid), want)
    torch.testing.assert_close(enlarged(grid, factor), want)
