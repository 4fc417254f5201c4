"""Finding numbers that are none."""

import pytest
import torch

from models.finite import broken


@pytest.mark.parametrize("nonsense", [torch.nan, torch.inf, -torch.inf])
def test_a_single_value_breaks_its_row_and_no_other(nonsense):
    frames = torch.rand(3, 3, 8, 8) * 2 - 1
    frames[1, 2, 7, 7] = nonsense
    assert broken(frames).tolist() == [False, True, False]
