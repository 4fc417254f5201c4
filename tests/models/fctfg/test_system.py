"""FC-TFG as a system: steps with cached halves draw the same as whole clips in one go."""

import pytest
import torch

from models.blocks.pose import follow_clip
from models.errors import IdentityError
from models.fctfg.networks import FctfgNetworks
from models.fctfg.system import SILENT_MEL, Fctfg
from models.rig import CONTROLS, INDEX
from models.system import AudioFeatures, ControlBatch
from tests.models.fctfg.tiny import tiny


@pytest.fixture(scope="module", params=[("flattened", False), ("per_style", False), ("per_style", True)])
def networks(request):
    """Random, with every path strong enough to be seen in the picture."""
    torch.manual_seed(0)
    networks = FctfgNetworks(tiny(*request.param))
    for name, parameter in networks.named_parameters():
        if name.startswith(("motion", "canonical", "audio.12", "pose_map")) and name.endswith("weight"):
            parameter.data.mul_(3.0)
        elif name.startswith("fusion") or "noise" in name or "to_flows" in name:
            torch.nn.init.normal_(parameter, 0.3, 0.1)
    return networks.eval()


@pytest.fixture(scope="module")
def system(networks):
    return Fctfg(networks)


@pytest.fixture(scope="module")
def faces():
    torch.manual_seed(1)
    return torch.rand(2, 3, 32, 32) * 2 - 1


def controls(batch, gain=1.0):
    return ControlBatch(torch.zeros(batch, len(CONTROLS)), torch.full((batch,), gain))


def features(windows):
    return AudioFeatures(windows, torch.full((len(windows),), 133.0))


@torch.no_grad()
def test_steps_equal_whole_clips_in_one_go(networks, system, faces):
    torch.manual_seed(2)
    mel = torch.randn(2, 4, 16, 80)  # [streams, frames, window, bands]
    driver = torch.rand(3, 3, 32, 32) * 2 - 1
    codes = system.pose_codes(driver)
    identities = [system.bind(faces[:1]), follow_clip(system.bind(faces[1:]), codes)]
    state = system.init_state(2)
    got = torch.stack([system.step(identities, features(w), controls(2), state) for w in mel.unbind(1)], 1)
    clips = torch.stack([faces[:1].expand(4, -1, -1, -1), driver[[0, 1, 2, 2]]])
    want = networks(faces, clips, mel.transpose(2, 3)[:, :, None], noise="fixed").clamp(-1, 1)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)
    assert (want[1, 0] - want[1, 2]).abs().max() > 1e-3
    assert want.std() > 0.05


@torch.no_grad()
def test_a_shut_gate_draws_silence_whatever_is_heard(system, faces):
    identity = system.bind(faces[:1])
    loud, silent = features(torch.randn(1, 16, 80)), features(torch.full((1, 16, 80), SILENT_MEL))
    shut = system.step([identity], loud, controls(1, gain=0.0), system.init_state(1))
    quiet = system.step([identity], silent, controls(1), system.init_state(1))
    open_ = system.step([identity], loud, controls(1), system.init_state(1))
    torch.testing.assert_close(shut, quiet, atol=1e-5, rtol=1e-5)
    assert (open_ - quiet).abs().max() > 1e-3


@torch.no_grad()
def test_angles_and_resets_concern_their_row_alone(system, faces):
    identity, silent = system.bind(faces[:1]), torch.full((2, 16, 80), SILENT_MEL)
    turned, state = controls(2), system.init_state(2)
    turned.values[1, INDEX["headYaw"]] = 15.0
    first = system.step([identity] * 2, features(silent), turned, state)
    alone = system.step([identity], features(silent[:1]), controls(1), system.init_state(1))
    torch.testing.assert_close(first[:1], alone, atol=1e-5, rtol=1e-5)
    assert (first[1] - first[0]).abs().max() > 1e-3
    state.reset(torch.tensor([False, True]))
    again = system.step([identity] * 2, features(silent), controls(2), state)
    torch.testing.assert_close(again[1:], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_identity_keeps_what_is_carried_from_its_photo(networks, system, faces):
    kept = system.bind(faces[:1]).tensors
    levels = {name: tuple(tensor.shape) for name, tensor in kept.items() if name.startswith("carried")}
    carries = networks.config.generator.carries
    assert levels == ({"carried_0": (6, 8, 8), "carried_1": (4, 16, 16), "carried_2": (4, 32, 32)} if carries else {})


@torch.no_grad()
def test_other_weights_refuse_the_identity(system, faces):
    other = Fctfg(FctfgNetworks(tiny("per_style")))
    window = features(torch.zeros(1, 16, 80))
    with pytest.raises(IdentityError):
        other.step([system.bind(faces[:1])], window, controls(1), other.init_state(1))
