"""TAVCE as a System: a stream equals the unsplit networks on each frame's surroundings, for every look-ahead."""

import numpy as np
import pytest
import torch

from models import rig
from models.audio import FRONT_ENDS
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


@pytest.fixture(scope="module")
def system():
    return Tavce(networks(), lambda face: REFERENCE * face.mean())


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    return Plain(published(networks(), TINY))


@pytest.fixture(scope="module")
def face():
    torch.manual_seed(1)
    return torch.rand(1, 3, 32, 32)


def sound(windows, *future):
    """Windows [B, 16, 80] of the newest frames, each so many frames (0 if not given) after the drawn one."""
    ahead = torch.tensor(future or [0] * len(windows))
    return AudioFeatures(windows, 133.0 + 40 * ahead)


def controls(rows, gain=1.0, **values):
    return ControlBatch(rig.vector(values)[None].repeat(rows, 1), torch.full((rows,), gain))


@pytest.mark.parametrize("future", [0, 2, 13])
@torch.no_grad()
def test_a_stream_draws_what_the_unsplit_networks_draw(system, plain, face, future):
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
        got = system.step([identity], sound(window.T[None], future), controls(1), state)
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
def test_pose_and_lids_obey_at_once_whatever_the_look_ahead(system, face):
    torch.manual_seed(3)
    window = torch.randn(1, 16, 80)
    for values in ({"headYaw": 15.0}, {"headPitch": -10.0}, {"headRoll": 12.0}, {"eyeBlinkLeft": 1.0}):
        for future in (0, 5):
            identities, moving, still = [system.bind(face)], system.init_state(1), system.init_state(1)
            for state in (moving, still):
                system.step(identities, sound(window, future), controls(1), state)
            one = system.step(identities, sound(window, future), controls(1, **values), moving)
            other = system.step(identities, sound(window, future), controls(1), still)
            assert (one - other).abs().max() > 1e-4, (values, future)


@torch.no_grad()
def test_degrees_become_the_face_models_radians(system, face):
    state = system.init_state(1)
    turned = controls(1, headYaw=18.0, headPitch=9.0, headRoll=-18.0)
    system.step([system.bind(face)], sound(torch.zeros(1, 16, 80)), turned, state)
    tenth = torch.pi / 10
    torch.testing.assert_close(state.pose[0, -1], torch.tensor([-tenth / 2, tenth, tenth, 0, 0, 0]))


@torch.no_grad()
def test_lip_gain_zero_is_silence(system, face):
    identities, shut, quiet = [system.bind(face)], system.init_state(1), system.init_state(1)
    system.step(identities, sound(torch.randn(1, 16, 80)), controls(1, gain=0.0), shut)
    system.step(identities, sound(torch.full((1, 16, 80), -4.0)), controls(1), quiet)
    torch.testing.assert_close(shut.said, quiet.said, atol=1e-5, rtol=0)


@torch.no_grad()
def test_rows_of_one_batch_hear_as_far_ahead_as_each_alone(system, face):
    futures = (0, 3, 13)
    identities, states = [system.bind(face)] * 3, [system.init_state(1) for _ in futures]
    torch.manual_seed(5)
    sounds, batch = torch.randn(20, 3, 16, 80), system.init_state(3)
    for windows in sounds:
        together = system.step(identities, sound(windows, *futures), controls(3), batch)
        alone = [
            system.step(identities[:1], sound(window[None], future), controls(1), state)
            for window, future, state in zip(windows, futures, states, strict=True)
        ]
        torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_shorter_look_ahead_goes_on_as_if_it_had_always_been_so(system, face):
    """The stream draws only the newest of the frames that are then complete."""
    identities, state, always = [system.bind(face)], system.init_state(1), system.init_state(1)
    torch.manual_seed(6)
    windows = torch.randn(30, 1, 16, 80)
    for newest, window in enumerate(windows):
        future = 3 if newest < 22 else 0
        got = system.step(identities, sound(window, future), controls(1), state)
        want = system.step(identities, sound(window, 0), controls(1), always)
        assert newest not in range(10, 22) or (got - want).abs().max() > 1e-4
        if newest > 21:
            torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_longer_look_ahead_takes_frames_that_never_came_to_lie_on_the_way(system, face):
    identities, state = [system.bind(face)], system.init_state(1)
    torch.manual_seed(7)
    windows = torch.randn(30, 1, 16, 80)
    for window in windows[:5]:
        system.step(identities, sound(window, 1), controls(1), state)
    newest = state.said[0, -1].clone()
    system.step(identities, sound(windows[5], 4), controls(1), state)
    for share, entry in zip((0, 0.25, 0.5, 0.75, 1), state.said[0, -5:], strict=True):
        torch.testing.assert_close(entry, torch.lerp(newest, state.said[0, -1], share))
    always = system.init_state(1)
    for window in windows[6:]:
        system.step(identities, sound(window, 4), controls(1), state)
    for window in windows[2:]:
        system.step(identities, sound(window, 4), controls(1), always)
    torch.testing.assert_close(state.said[:, -20:], always.said[:, -20:])  # all that was heard before has left


@torch.no_grad()
def test_rows_stay_apart_and_reset_forgets_one(system, face):
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


def test_look_ahead_grows_by_a_frame_for_each_future_one(system):
    assert system.lookahead_ms == tuple(range(133, 654, 40))
    source = FRONT_ENDS[system.front_end]()
    for future, lookahead_ms in enumerate(system.lookahead_ms):
        heard = source.rows_of_frame(50, lookahead_ms)
        np.testing.assert_array_equal(heard, source.rows_of_frame(50 + future, 133), err_msg=str(future))


def test_an_identity_of_other_weights_is_refused(system, face):
    mine = system.bind(face)
    other = IdentityState("davs", mine.version, mine.tensors)
    with pytest.raises(IdentityError, match="enrol the photo again"):
        system.step([other], sound(torch.zeros(1, 16, 80)), controls(1), system.init_state(1))
