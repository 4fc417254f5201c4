"""What becomes of numbers that are none."""

import pytest
import torch

from models.finite import LastGood, broken


@pytest.mark.parametrize("nonsense", [torch.nan, torch.inf, -torch.inf])
def test_a_single_value_breaks_its_row_and_no_other(nonsense):
    frames = torch.rand(3, 3, 8, 8) * 2 - 1
    frames[1, 2, 7, 7] = nonsense
    assert broken(frames).tolist() == [False, True, False]


def test_a_broken_frame_is_replaced_by_the_last_whole_one_and_counted():
    whole, newer, lost = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4), torch.full((1, 3, 4, 4), torch.nan)
    last = LastGood()
    assert last.instead_of(lost) is None  # nothing was drawn yet
    assert last.instead_of(whole) is whole
    assert last.instead_of(lost) is whole
    assert last.instead_of(newer) is newer
    assert last.instead_of(lost) is newer
    assert last.replaced == 3
