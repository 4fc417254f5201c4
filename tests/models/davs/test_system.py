"""DAVS as a System: split equals unsplit, rows apart, silence, adaptation."""

import numpy as np
import pytest
import torch

from models.davs.adapt import RATE, adapt
from models.davs.networks import DavsNetworks
from models.davs.system import Davs, crop_template
from models.errors import IdentityError
from models.system import AudioFeatures, ControlBatch, IdentityState
from tests.models.davs.tiny import TINY
from tests.models.shaken import shaken


@pytest.fixture(scope="module")
def networks():
    return shaken(DavsNetworks(TINY))


@pytest.fixture(scope="module")
def davs():
    return Davs(shaken(DavsNetworks(TINY)))


@pytest.fixture(scope="module")
def faces():
    torch.manual_seed(5)
    return torch.rand(2, 1, 3, 64, 64)


def sound(windows):
    """One frame's features for each window [B, 20, 12]."""
    return AudioFeatures(windows, torch.full((len(windows),), 135.0))


def controls(gain):
    return ControlBatch(torch.zeros(len(gain), 57), torch.tensor(gain))


@torch.no_grad()
def test_a_stream_draws_what_the_unsplit_networks_draw_of_each_window(networks, davs, faces):
    identities, state = [davs.bind(face) for face in faces], davs.init_state(2)
    torch.manual_seed(6)
    for windows in torch.randn(4, 2, 20, 12):
        got = davs.step(identities, sound(windows), controls([1.0, 1.0]), state)
        want = networks.decoder(networks.identity(faces[:, 0]), 1.5 * networks.audio(windows[:, None]))
        torch.testing.assert_close(got, 2 * want - 1, atol=1e-4, rtol=0)


@torch.no_grad()
def test_lip_gain_zero_is_silence(davs, faces):
    identities, state, silent = [davs.bind(faces[0])], davs.init_state(1), davs.init_state(1)
    torch.manual_seed(7)
    shut = davs.step(identities, sound(torch.randn(1, 20, 12)), controls([0.0]), state)
    quiet = davs.step(identities, sound(torch.zeros(1, 20, 12)), controls([1.0]), silent)
    torch.testing.assert_close(shut, quiet, atol=1e-5, rtol=0)


def test_an_identity_of_other_weights_is_refused(davs, faces):
    mine = davs.bind(faces[0])
    other = IdentityState("davs", mine.version + 1, mine.tensors)
    with pytest.raises(IdentityError, match="enrol the photo again"):
        davs.step([other], sound(torch.zeros(1, 20, 12)), controls([1.0]), davs.init_state(1))


def test_adaptation_is_the_published_steps_and_leaves_the_networks_alone(faces):
    """Written out once more: train mode, a new Adam for each window, 4 L1 with the mouth at 0.001.

    In float64: a bias before a batch norm has no gradient but rounding, which Adam in float32 takes for one.
    """
    torch.manual_seed(9)
    windows, face = torch.randn(5, 20, 12).double(), faces[0].double()
    networks = shaken(DavsNetworks(TINY)).double()
    before = {name: tensor.clone() for name, tensor in networks.state_dict().items()}
    identity, decoder = adapt(networks, face, windows)
    for name, tensor in networks.state_dict().items():
        assert torch.equal(tensor, before[name]), name

    plain = shaken(DavsNetworks(TINY)).double()
    plain.identity.train()
    plain.decoder.train()
    mask = torch.ones(1, 3, 64, 64)
    mask[:, :, 42:58, 16:48] = 0.001
    for window in windows:
        optimiser = torch.optim.Adam([*plain.identity.parameters(), *plain.decoder.parameters()], RATE)
        drawn = plain.decoder(plain.identity(face), plain.audio(window[None, None]).detach())
        optimiser.zero_grad()
        (4 * torch.nn.functional.l1_loss(drawn * mask, face * mask)).backward()
        optimiser.step()
    for ours, theirs in ((identity, plain.identity), (decoder, plain.decoder)):
        for name, tensor in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], tensor, atol=1e-6, rtol=1e-6)


@torch.no_grad()
def test_an_adapted_face_is_drawn_by_its_own_decoder_beside_others(davs, networks, faces):
    torch.manual_seed(10)
    speech, windows = torch.randn(5, 20, 12), torch.randn(3, 20, 12)
    own = davs.bind(faces[0], speech=speech)
    identities = [davs.bind(faces[0]), own, davs.bind(faces[1])]
    got = davs.step(identities, sound(windows), controls([1.0] * 3), davs.init_state(3))
    identity, decoder = adapt(networks, faces[0], speech)
    want = 2 * decoder(identity(faces[0]), 1.5 * networks.audio(windows[1:2, None])) - 1
    torch.testing.assert_close(got[1:2], want, atol=1e-4, rtol=0)
    for row in (0, 2):
        alone = davs.step([identities[row]], sound(windows[row : row + 1]), controls([1.0]), davs.init_state(1))
        torch.testing.assert_close(got[row : row + 1], alone, atol=1e-4, rtol=0)


def test_speech_to_adapt_to_has_five_windows(davs, faces):
    with pytest.raises(ValueError, match=r"got speech of shape \(4, 20, 12\), want \(5, 20, 12\)"):
        davs.bind(faces[0], speech=torch.zeros(4, 20, 12))


def test_rounded_weights_are_other_weights(davs, networks):
    assert Davs(networks).identity_version == davs.identity_version
    rounded = shaken(DavsNetworks(TINY)).half().float()
    assert Davs(rounded).identity_version != davs.identity_version


def test_the_crop_lies_where_the_published_one_does():
    eyes_and_mouth = crop_template() * 256
    want = np.array([[91.13, 114.42], [168.75, 114.42], [129.94, 188.15]])
    np.testing.assert_allclose(eyes_and_mouth, want, atol=0.01)
    assert 170 < eyes_and_mouth[2, 1] < 234  # in the mouth rectangle of the losses
