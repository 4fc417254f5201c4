"""The mouth that a photo shows: nothing of it is left between lips that have closed, all of it for the painter."""

import pytest
import torch

from models.rig import INDEX
from models.visavis.drawing import hang
from models.visavis.geometry import Geometry
from models.visavis.ict import Rig, Shape, mean_shape
from models.visavis.matte import MATTE_PX
from models.visavis.own_mouth import covered, look, shaded, view
from models.visavis.renderer import MARGIN_PX, PHOTO_PX, IdentityEncoder, inner
from models.visavis.sampling import finer, pixels, sample

SKIN, TEETH = (150, 90, 80), (240, 240, 240)


@pytest.fixture(scope="module")
def geometry():
    return Geometry(Rig.load())


def smiling(jaw: float) -> Shape:
    """The mean face whose mouth is open in the photo, and closed at rest."""
    told = mean_shape().tensors()
    expression = torch.zeros(1, 52)
    expression[:, INDEX["jawOpen"]] = jaw
    return Shape.from_tensors(told | {"expression": expression})


def bound(geometry, shape):
    own = torch.cat([shape.expression - shape.rest, torch.zeros(1, 5)], 1)
    return geometry.bind(shape, own)


def portrait(binding):
    """Skin, and teeth wherever the mouth is open: [1, 3, 320, 320], -1 to 1."""
    return torch.where(binding.mouth > 0, plain(TEETH), plain(SKIN))


def plain(rgb):
    return (torch.tensor(rgb) / 127.5 - 1.0)[None, :, None, None].expand(1, 3, PHOTO_PX, PHOTO_PX)


def test_an_open_mouth_takes_the_lips_colour_and_nothing_else_changes(geometry):
    binding = bound(geometry, smiling(0.3))
    photo = portrait(binding)
    assert photo.amax() > 0.8
    torch.testing.assert_close(covered(photo, binding.mouth), plain(SKIN), atol=1e-3, rtol=0)
    speckled = torch.rand_like(photo)
    far = (binding.mouth < -0.4).expand_as(photo)
    assert torch.equal(covered(speckled, binding.mouth)[far], speckled[far])


def test_lips_that_meet_in_the_photo_keep_their_seam(geometry):
    binding = bound(geometry, smiling(0.0))
    speckled = torch.rand(1, 3, PHOTO_PX, PHOTO_PX)
    assert torch.equal(covered(speckled, binding.mouth), speckled)


def test_teeth_of_a_smile_are_not_left_between_closed_lips(geometry):
    shape = smiling(0.3)
    photo = portrait(bound(geometry, shape))
    with torch.no_grad():
        faces = hang(geometry, IdentityEncoder(), photo, torch.ones(1, 1, MATTE_PX, MATTE_PX), shape)
    frame = geometry.predict(faces.photo, faces.binding, shape, torch.zeros(1, 57), faces.base).frame
    torch.testing.assert_close(frame, inner(plain(SKIN)), atol=0.02, rtol=0)


def test_what_is_kept_of_the_mouth_is_the_photo_itself(geometry):
    binding = bound(geometry, smiling(0.3))
    photo = finer(torch.rand(1, 3, PHOTO_PX, PHOTO_PX))
    middle = binding.teeth + torch.tensor([0.0, 16.0])
    where = pixels(56, 80) + middle[:, None, None] - torch.tensor([40.0, 28.0])
    want = sample(photo, (where + (MARGIN_PX + 0.5)) / (PHOTO_PX / 2) - 1.0)
    torch.testing.assert_close(look(view(photo, binding.teeth), binding.teeth, where), want, atol=1e-3, rtol=0)


def lips(depth_px):
    """The map of a mouth [1, 1, 56, 80] that is twice so high in the middle of a patch, 40 px wide."""
    row = (torch.arange(56)[:, None] - 28).abs().expand(56, 80)
    beyond = ((torch.arange(80) - 40).abs() - 20).clamp(min=0)
    return torch.tanh((depth_px - row - beyond) / 4.0)[None, None]


def test_lips_that_close_get_the_seam_that_their_photo_lacks():
    grey = torch.zeros(1, 3, 56, 80)
    drawn = shaded(grey, lips(0.0), lips(4.0), 1)
    assert drawn[0, :, 28, 25:55].amax() < -0.4
    assert torch.equal(drawn[0, :, :27], grey[0, :, :27])
    assert torch.equal(drawn[0, :, 30:], grey[0, :, 30:])
    assert torch.equal(shaded(grey, lips(0.0), lips(0.2), 1), grey)  # the photo has its own
    assert torch.equal(shaded(grey, lips(2.0), lips(4.0), 1), grey)  # an open mouth has none
    half = shaded(grey, lips(0.6), lips(4.0), 1)[0, 0, 28, 40]
    assert drawn[0, 0, 28, 40] < half < 0
