"""PC-AVS as a system: what is cached and split draws the same as the published inference in one go."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.blocks.pose import follow_clip
from models.blocks.vox_crop import template, three_points
from models.checkpoint import load_published
from models.errors import IdentityError
from models.pcavs.config import SMALL
from models.pcavs.convert import NAMES
from models.pcavs.networks import AUDIO_GAIN, PcavsNetworks
from models.pcavs.system import Pcavs
from models.rig import CONTROLS, INDEX
from models.system import AudioFeatures, ControlBatch
from models.visavis.fit import MEDIAPIPE_68
from tests.models.pcavs.published import LAYOUTS, TINY, random_tensors
from tests.models.shaken import shaken


@pytest.fixture(scope="module", params=[False, True], ids=["published", "carrying"])
def networks(request):
    networks = shaken(PcavsNetworks(replace(TINY, generator=replace(TINY.generator, carries=request.param))))
    modules = (networks.generator, networks.identity, networks.audio, networks.motion)
    for letter, module in zip(("G", "V", "A_sync", "E"), modules, strict=True):
        load_published(module, random_tensors(LAYOUTS[letter](TINY), 5), NAMES[letter])  # untrained codes hardly differ
    return networks.eval()


@pytest.fixture(scope="module")
def system(networks):
    return Pcavs(networks)


@pytest.fixture(scope="module")
def faces():
    torch.manual_seed(1)
    return torch.rand(2, 3, 64, 64) * 2 - 1


def controls(batch, gain=1.0, **angles):
    values = torch.zeros(batch, len(CONTROLS))
    for name, angle in angles.items():
        values[:, INDEX[name]] = angle
    return ControlBatch(values, torch.full((batch,), gain))


def features(windows):
    return AudioFeatures(windows, torch.full((len(windows),), 120.0))


@pytest.mark.parametrize(("start_px", "level"), [(2, 4), (4, 3), (8, 2), (16, 1), (32, 0)])
@torch.no_grad()
def test_the_start_is_made_of_the_coarsest_map_that_is_not_smaller(faces, start_px, level):
    torch.manual_seed(0)
    generator = replace(TINY.generator, start_px=start_px, widths=TINY.generator.widths[: level + 2])
    encoder = PcavsNetworks(replace(TINY, generator=generator)).identity.eval()
    vector, (start,) = encoder(faces)
    maps = encoder.model(faces)
    torch.testing.assert_close(vector, maps[4].mean((2, 3)))
    torch.testing.assert_close(start, F.adaptive_avg_pool2d(encoder.conv1x1(maps[level]), start_px))


@torch.no_grad()
def test_photo_and_maps_are_carried_coarse_to_fine(networks, system, faces):
    _, (_, *carried) = networks.identity(faces)
    sources, convs = [faces, *networks.identity.model(faces)][4::-1], networks.identity.carrier.convs[::-1]
    assert len(carried) == (5 if networks.config.generator.carries else 0)
    for got, source, conv in zip(carried, sources[: len(carried)], convs, strict=True):
        torch.testing.assert_close(got, F.conv2d(source, conv.weight, conv.bias))
    kept = system.bind(faces[:1]).tensors
    for level, want in enumerate(carried):
        torch.testing.assert_close(kept[f"carried_{level}"], want[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_steps_equal_the_published_inference_unsplit(networks, system, faces):
    torch.manual_seed(2)
    identities, state = [system.bind(face[None]) for face in faces], system.init_state(2)
    for mel in torch.rand(3, 2, 20, 80):
        got = system.step(identities, features(mel), controls(2), state)
        window = mel.transpose(1, 2)[:, None]
        torch.testing.assert_close(got, networks(faces, window, faces, noise="fixed"), atol=1e-4, rtol=1e-4)
    assert got.std() > 0.05


@torch.no_grad()
def test_a_recorded_clip_turns_the_head_of_its_identity_alone(networks, system, faces):
    codes = system.pose_codes(faces.flip(0))
    identity = system.bind(faces[:1])
    state, silent = system.init_state(2), torch.zeros(2, 20, 80)
    drawn = [system.step([identity, follow_clip(identity, codes)], features(silent), controls(2), state) for _ in "ab"]
    mel = torch.zeros(2, 1, 80, 20)
    own = networks(faces[:1].repeat(2, 1, 1, 1), mel, faces[:1].repeat(2, 1, 1, 1), noise="fixed")
    driven = networks(faces[:1].repeat(2, 1, 1, 1), mel, faces.flip(0), noise="fixed")
    torch.testing.assert_close(torch.stack([d[0] for d in drawn]), own, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(torch.stack([d[1] for d in drawn]), driven, atol=1e-4, rtol=1e-4)
    assert (own - driven).abs().max() > 1e-3


@torch.no_grad()
def test_several_references_are_averaged_as_features_and_the_first_is_carried(networks, system, faces):
    identity = system.bind(faces)
    vectors, (starts, *carried) = networks.identity(faces)
    vector, maps = vectors.mean(0, keepdim=True), [starts.mean(0, keepdim=True), *(one[:1] for one in carried)]
    pose = networks.motion.pose(networks.motion.model(faces).mean(0, keepdim=True))
    want = networks.draw(
        networks.style(vector, AUDIO_GAIN * networks.audio(torch.zeros(1, 1, 80, 20)), pose), maps, "fixed"
    )
    got = system.step([identity], features(torch.zeros(1, 20, 80)), controls(1), system.init_state(1))
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_shut_gate_draws_silence_whatever_is_heard(system, faces):
    identity = system.bind(faces[:1])
    loud, silent = torch.rand(1, 20, 80), torch.zeros(1, 20, 80)
    shut = system.step([identity], features(loud), controls(1, gain=0.0), system.init_state(1))
    quiet = system.step([identity], features(silent), controls(1), system.init_state(1))
    open_ = system.step([identity], features(loud), controls(1), system.init_state(1))
    torch.testing.assert_close(shut, quiet, atol=1e-5, rtol=1e-5)
    assert (open_ - quiet).abs().max() > 1e-4


@torch.no_grad()
def test_angles_turn_the_head_of_their_row_alone(system, faces):
    identity = system.bind(faces[:1])
    turned = controls(2)
    turned.values[1, INDEX["headYaw"]] = 15.0
    state, silent = system.init_state(2), features(torch.zeros(2, 20, 80))
    got = system.step([identity, identity], silent, turned, state)
    alone = system.step([identity], features(torch.zeros(1, 20, 80)), controls(1), system.init_state(1))
    torch.testing.assert_close(got[:1], alone, atol=1e-4, rtol=1e-4)  # a sampled flow rounds more
    assert (got[1] - got[0]).abs().max() > 1e-2


@torch.no_grad()
def test_a_reset_row_begins_its_clip_again_and_the_other_does_not(system, faces):
    identity, state = system.bind(faces[:1]), system.init_state(2)
    moving, silent = follow_clip(identity, system.pose_codes(faces.flip(0))), features(torch.zeros(2, 20, 80))
    first = system.step([moving] * 2, silent, controls(2), state)
    state.reset(torch.tensor([True, False]))
    got = system.step([moving] * 2, silent, controls(2), state)
    torch.testing.assert_close(got[0], first[0], atol=1e-5, rtol=1e-5)
    assert (got[1] - got[0]).abs().max() > 1e-5


def test_an_identity_survives_a_file_and_other_weights_refuse_it(system, faces, tmp_path):
    identity = system.bind(faces[:1])
    identity.save(tmp_path / "identity.safetensors")
    again = type(identity).load(tmp_path / "identity.safetensors")
    torch.testing.assert_close(again.tensors, identity.tensors)
    other = Pcavs(PcavsNetworks(TINY))
    with pytest.raises(IdentityError):
        other.step([identity], features(torch.zeros(1, 20, 80)), controls(1), other.init_state(1))


def test_the_crop_brings_eyes_and_mouth_to_the_published_places():
    want = np.array([[71, 59], [121, 59], [96, 120]]) / 192
    np.testing.assert_allclose(template(), want)
    mesh = np.zeros((478, 2))
    mesh[list(MEDIAPIPE_68)] = np.arange(68.0)[:, None]
    np.testing.assert_allclose(three_points(mesh)[:, 0], [38.5, 44.5, 63.5])


def test_the_small_one_draws_128_px_and_fits_the_bundle():
    with torch.device("meta"):
        networks = PcavsNetworks(SMALL)
    assert SMALL.frame_px == 128
    assert sum(p.numel() for p in networks.parameters()) * 2 < 25e6  # bytes as float16
