"""TAVCE as a System: a stream equals the unsplit networks on each frame's surroundings, for every look-ahead."""

import pytest
import torch

from models import rig
from models.errors import IdentityError
from models.system import AudioFeatures, ControlBatch, IdentityState
from models.tavce.networks import TavceNetworks
from models.tavce.system import Tavce
from tests.models.shaken import shaken
from tests.models.tavce.plain import Plain
from tests.models.tavce.test_networks import published
from tests.models.tavce.tiny import TINY

REFERENCE = torch.linspace(-1, 1, 70)[None]


def networks():
    """Weights whose key points stay inside the frame, so that every one of them shows."""
    made = shaken(TavceNetworks(TINY))
    with torch.no_grad():
        for head in (made.expression.mapping, made.mapping.expression, made.mapping.shift):
            head.weight.mul_(0.03)
    return made


def make(future=0):
    return Tavce(networks(), lambda face: REFERENCE * face.mean(), future=future)


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    return Plain(published(networks(), TINY))


@pytest.fixture(scope="module")
def face():
    torch.manual_seed(1)
    return torch.rand(1, 3, 32, 32)


def sound(windows):
    return AudioFeatures(windows, torch.full((len(windows),), 133.0))


def controls(rows, gain=1.0, **values):
    return ControlBatch(rig.vector(values)[None].repeat(rows, 1), torch.full((rows,), gain))


@pytest.mark.parametrize("future", [0, 2, 13])
@torch.no_grad()
def test_a_stream_draws_what_the_unsplit_networks_draw(plain, face, future):
    system = make(future)
    identity, state = system.bind(face), system.init_state(1)
    torch.manual_seed(2)
    windows = torch.randn(18, 80, 16)
    reference = REFERENCE * face.mean()
    canonical = plain.keypoints(face)
    source = plain.place(canonical, plain.map(reference[..., None].repeat(1, 1, 27)))
    rest = reference[:, :64].repeat(len(windows), 1)
    said = plain.expression(windows[:, None], rest, torch.zeros(len(windows)))
    heard = plain.sound(windows[:, None])
    for newest, window in enumerate(windows):
        got = system.step([identity], sound(window.T[None]), controls(1), state)
        if newest < 16:
            continue  # steps are alike once the rings are filled, and the plain form is slow
        drawn = newest - future
        around = [min(max(frame, 0), newest) for frame in range(drawn - 13, drawn + 14)]
        coefficients = torch.cat([said[around], reference[:, 64:].repeat(27, 1)], 1).T[None]
        driving = plain.place(canonical, plain.map(coefficients))
        pair = (heard[max(drawn - 1, 0)][None], heard[drawn][None])
        want = plain.generate(face, *pair, driving, source)
        torch.testing.assert_close(got, 2 * want - 1, atol=1e-4, rtol=0)


@torch.no_grad()
def test_pose_and_lids_obey_at_once_whatever_the_look_ahead(face):
    torch.manual_seed(3)
    window = torch.randn(1, 16, 80)
    for values in ({"headYaw": 15.0}, {"headPitch": -10.0}, {"headRoll": 12.0}, {"eyeBlinkLeft": 1.0}):
        for future in (0, 5):
            system = make(future)
            identities, moving, still = [system.bind(face)], system.init_state(1), system.init_state(1)
            for state in (moving, still):
                system.step(identities, sound(window), controls(1), state)
            one = system.step(identities, sound(window), controls(1, **values), moving)
            other = system.step(identities, sound(window), controls(1), still)
            assert (one - other).abs().max() > 1e-4, (values, future)


@torch.no_grad()
def test_degrees_become_the_face_models_radians(face):
    system = make()
    state = system.init_state(1)
    turned = controls(1, headYaw=18.0, headPitch=9.0, headRoll=-18.0)
    system.step([system.bind(face)], sound(torch.zeros(1, 16, 80)), turned, state)
    tenth = torch.pi / 10
    torch.testing.assert_close(state.pose[0, -1], torch.tensor([-tenth / 2, tenth, tenth, 0, 0, 0]))


@torch.no_grad()
def test_lip_gain_zero_is_silence(face):
    system = make()
    identities, shut, quiet = [system.bind(face)], system.init_state(1), system.init_state(1)
    system.step(identities, sound(torch.randn(1, 16, 80)), controls(1, gain=0.0), shut)
    system.step(identities, sound(torch.full((1, 16, 80), -4.0)), controls(1), quiet)
    torch.testing.assert_close(shut.said, quiet.said, atol=1e-5, rtol=0)


@torch.no_grad()
def test_rows_stay_apart_and_reset_forgets_one(face):
    system = make(1)
    identities = [system.bind(face), system.bind(1 - face)]
    torch.manual_seed(4)
    windows = torch.randn(3, 2, 16, 80)
    both, alone = system.init_state(2), system.init_state(1)
    for window in windows:
        together = system.step(identities, sound(window), controls(2), both)
        single = system.step(identities[1:], sound(window[1:]), controls(1), alone)
    torch.testing.assert_close(together[1:], single, atol=1e-4, rtol=0)
    both.reset(torch.tensor([False, True]))
    again = system.step(identities, sound(windows[0]), controls(2), both)
    fresh = system.step(identities, sound(windows[0]), controls(2), system.init_state(2))
    torch.testing.assert_close(again[1], fresh[1], atol=1e-5, rtol=0)
    assert (again[0] - fresh[0]).abs().max() > 1e-4


def test_look_ahead_grows_by_a_frame_for_each_future_one():
    assert make(0).lookahead_ms == (133,)
    assert make(13).lookahead_ms == (653,)
    with pytest.raises(ValueError, match="got 14 future frames, want 0 to 13"):
        make(14)


def test_an_identity_of_other_weights_is_refused(face):
    system = make()
    mine = system.bind(face)
    other = IdentityState("davs", mine.version, mine.tensors)
    with pytest.raises(IdentityError, match="enrol the photo again"):
        system.step([other], sound(torch.zeros(1, 16, 80)), controls(1), system.init_state(1))
