"""How far told lips are from those of the clip."""

import pytest
import torch

from models.blocks.lip_motion import lip_motion


def test_lips_that_stand_still_are_off_by_one_and_where_they_stand_does_not_matter():
    wanted = torch.tensor([[[0.0, 1.0], [0.4, 1.0], [0.8, 1.0]]])  # moves by -0.4, 0, 0.4
    assert lip_motion(torch.full_like(wanted, 0.3), wanted).item() == pytest.approx(1.0)
    assert lip_motion(wanted + 5.0, wanted).item() == pytest.approx(0.0, abs=1e-6)
    assert lip_motion(0.5 * wanted, wanted).item() == pytest.approx(0.25)
