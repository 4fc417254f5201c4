"""Person and background: who is who, what stands still, and what is made up behind a head that moves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.faces import IDENTITIES_DIR
from models.visavis.enrol import load_photo
from models.visavis.geometry import Prior
from models.visavis.ground import behind, lay
from models.visavis.matte import MATTE_PX, MatteNet, matte
from models.visavis.renderer import FRAME_PX, MARGIN_PX, PHOTO_PX

MIDDLE = slice(MATTE_PX // 2 - 12, MATTE_PX // 2 + 12)


def prior(frame: torch.Tensor, x_px: float, skin: float = 0.0) -> Prior:
    """A frame of so much skin, in which everything comes from `x_px` further right in the photo."""
    half = FRAME_PX // 2
    way = torch.zeros(1, 2, half, half)
    way[:, 0] = x_px
    none, shown = torch.zeros(1, 2), torch.full((1, 1, FRAME_PX, FRAME_PX), skin)
    coverage, openings = shown[:, :, ::2, ::2], torch.zeros(1, 2, half, half)
    return Prior(frame, frame, frame, shown, way, way, coverage, openings, torch.zeros(1, 0, 3), none, none)


def disc(radius: float) -> torch.Tensor:
    """A matte of a round person in the middle, [1, 1, MATTE_PX, MATTE_PX]."""
    at = torch.arange(MATTE_PX) - MATTE_PX / 2 + 0.5
    return (at[:, None].square() + at.square() < radius**2).float()[None, None]


@pytest.mark.parametrize("path", sorted(p for p in IDENTITIES_DIR.iterdir() if p.suffix in (".jpg", ".png")), ids=str)
def test_the_face_of_a_portrait_is_the_person_and_its_upper_corners_are_not(path: Path):
    photo = Image.fromarray(load_photo(path.read_bytes())).resize((PHOTO_PX, PHOTO_PX))
    found = matte(torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None].float() / 127.5 - 1)[0, 0]
    assert found[MIDDLE, MIDDLE].min() > 0.9
    assert found[:8, :8].max() < 0.1
    assert found[:8, -8:].max() < 0.1


def test_a_matte_is_as_large_as_half_the_photo_whatever_the_detail():
    assert matte(torch.zeros(2, 3, 2 * PHOTO_PX, 2 * PHOTO_PX)).shape == (2, 1, MATTE_PX, MATTE_PX)
    assert sum(p.numel() for p in MatteNet().parameters()) < 500_000


def test_behind_the_person_lies_what_is_around_and_the_rest_is_the_photo():
    photo = torch.rand(1, 3, PHOTO_PX, PHOTO_PX) * 0.5
    person = disc(30)
    large = torch.nn.functional.interpolate(person, scale_factor=2.0)
    photo = photo * (1 - large) - large  # the person is black
    ground = behind(photo, person)
    frame = photo[:, :, MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    assert torch.equal(ground[:, :, :40], frame[:, :, :40])
    assert ground.min() > -0.01  # nothing of the person is left
    inside = ground[:, :, 118:138, 118:138]
    torch.testing.assert_close(inside.mean((2, 3)), torch.full((1, 3), 0.25), atol=0.05, rtol=0)


def test_what_hardly_moves_is_the_photo_itself():
    frame, ground = torch.rand(1, 3, FRAME_PX, FRAME_PX), torch.zeros(1, 3, FRAME_PX, FRAME_PX)
    assert torch.equal(lay(prior(frame, 0.9), disc(30), ground), frame)


def test_the_person_moves_over_a_background_that_stands_still():
    frame, ground = torch.rand(1, 3, FRAME_PX, FRAME_PX), torch.rand(1, 3, FRAME_PX, FRAME_PX)
    drawn = lay(prior(frame, 20.0), disc(30), ground)  # the disc of 60 px now lies 20 px further left
    middle = FRAME_PX // 2
    assert torch.equal(drawn[:, :, :30], ground[:, :, :30])
    assert torch.equal(drawn[:, :, middle, middle - 74 : middle + 34], frame[:, :, middle, middle - 74 : middle + 34])
    assert torch.equal(drawn[:, :, middle, middle + 46 :], ground[:, :, middle, middle + 46 :])


def test_skin_is_never_background_whatever_the_matte_says():
    frame, ground = torch.rand(1, 3, FRAME_PX, FRAME_PX), torch.zeros(1, 3, FRAME_PX, FRAME_PX)
    assert torch.equal(lay(prior(frame, 20.0, skin=1.0), disc(0), ground), frame)


def test_what_stands_still_shows_under_the_skin_as_far_as_the_skin_lets_it():
    front, under, ground = (torch.rand(1, 3, FRAME_PX, FRAME_PX) for _ in range(3))
    half = replace(prior(front, 20.0, skin=0.5), under=under)
    torch.testing.assert_close(lay(half, disc(0), ground), (front + ground) / 2)
    still = replace(prior(front, 0.9, skin=0.5), under=under)
    torch.testing.assert_close(lay(still, disc(0), ground), (front + under) / 2)
