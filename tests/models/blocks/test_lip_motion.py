"""How far told lips are from those of the clip."""

import pytest
import torch
from torch import nn

from models.blocks.lip_motion import correction, lip_motion


def test_lips_that_stand_still_are_off_by_one_and_where_they_stand_does_not_matter():
    wanted = torch.tensor([[[0.0, 1.0], [0.4, 1.0], [0.8, 1.0]]])  # moves by -0.4, 0, 0.4
    assert lip_motion(torch.full_like(wanted, 0.3), wanted).item() == pytest.approx(1.0)
    assert lip_motion(wanted + 5.0, wanted).item() == pytest.approx(0.0, abs=1e-6)
    assert lip_motion(0.5 * wanted, wanted).item() == pytest.approx(0.25)


def test_corrected_codes_tell_the_motion_of_lips_and_keep_what_no_lips_hang_on():
    torch.manual_seed(0)
    head, codes, lips = nn.Linear(8, 3), torch.randn(2, 4, 8), torch.randn(2, 4, 3)
    moved = correction(codes, head, lips)
    assert lip_motion(head(codes), lips) > 0.5
    assert lip_motion(head(codes + moved), lips) < 0.1
    told, lacking = head(codes).mean(1), head(codes + moved).mean(1)
    torch.testing.assert_close(lacking, told, atol=1e-5, rtol=1e-5)  # motion alone: where lips rest is left
    unseen = torch.eye(8) - torch.linalg.pinv(head.weight) @ head.weight  # directions that the map does not see
    assert (moved @ unseen).abs().max() < 1e-5
    assert not moved.requires_grad
