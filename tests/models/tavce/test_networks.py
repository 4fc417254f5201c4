"""TAVCE's networks: published sizes, and the numbers of a plain transcription in the published key layout."""

import pytest
import torch
from safetensors.torch import save_file

from models.errors import CheckpointError
from models.tavce.config import PUBLISHED, SMALL
from models.tavce.convert import _names, convert, convert_mouths
from models.tavce.correlation import MouthEncoder, gate
from models.tavce.critic import FrameCritic
from models.tavce.keypoints import Stance, place, rotation
from models.tavce.networks import TavceNetworks
from models.tavce.redraw import Redrawer
from tests.models.shaken import shaken
from tests.models.tavce.plain import Plain
from tests.models.tavce.tiny import TINY


def published(networks, config):
    """The networks' tensors under the published names, spectral norm unfolded."""
    back = {ours: theirs for theirs, ours in _names(config).items()}
    renamed = {}
    for key, tensor in networks.state_dict().items():
        fits = [name for name in back if key == name or key.startswith(f"{name}.")]
        if fits and "num_batches" not in key:
            longest = max(fits, key=len)
            renamed[back[longest] + key.removeprefix(longest)] = tensor.clone()
    for key in [k for k in renamed if ".conv_" in k and k.endswith(".weight") and "conv_img" not in k]:
        if not key.startswith("generator.decoder"):
            continue
        weight, name = renamed.pop(key), key.removesuffix("weight")
        u, v = torch.rand(len(weight)) + 0.5, torch.rand(weight[0].numel()) + 0.5
        # any u and v will do: orig / (u W v) must be the weight
        sigma = torch.dot(u, weight.flatten(1) @ v)
        renamed |= {f"{name}weight_orig": weight * 3.0, f"{name}weight_u": u / sigma, f"{name}weight_v": v}
    return renamed


@pytest.fixture(scope="module")
def networks():
    return shaken(TavceNetworks(TINY))


@pytest.fixture(scope="module")
def layout(networks):
    torch.manual_seed(1)
    return published(networks, TINY)


@pytest.fixture(scope="module")
def plain(layout):
    return Plain(layout)


@torch.no_grad()
def test_the_renderer_split_by_photo_and_sound_is_the_published_one(networks, plain):
    torch.manual_seed(2)
    photo, before, now = torch.rand(2, 3, 32, 32), torch.randn(2, 6), torch.randn(2, 6)
    now[1] = before[1]  # silence: nothing changes, the gate is shut
    driving, source = (torch.rand(2, 4, 3) * 2 - 1 for _ in range(2))
    want = plain.generate(photo, before, now, driving, source)
    assert want.std() > 0.05
    got = networks.generator(photo, gate(before, now), driving, source)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=0)


@torch.no_grad()
def test_key_points_and_mapping_are_the_published_ones(networks, plain):
    torch.manual_seed(3)
    face, coefficients = torch.rand(2, 3, 32, 32), torch.randn(2, 70, 27)
    torch.testing.assert_close(networks.detector(face), plain.keypoints(face), atol=1e-4, rtol=0)
    stance = networks.mapping(coefficients)
    yaw, pitch, roll, shift, expression = plain.map(coefficients)
    torch.testing.assert_close(stance.angles_deg, torch.stack([yaw, pitch, roll], 1), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(stance.expression.flatten(1), expression, atol=1e-4, rtol=0)
    points = torch.rand(2, 4, 3) * 2 - 1
    want = plain.place(points, (yaw, pitch, roll, shift, expression))
    torch.testing.assert_close(place(points, stance), want, atol=1e-4, rtol=0)


def test_half_a_turn_stops_short_of_it_because_pi_is_3_14():
    turned = rotation(torch.tensor([[180.0, 0.0, 0.0]]))[0]
    torch.testing.assert_close(turned[0, 2].item(), 0.0015927, atol=1e-6, rtol=0)  # sin 3.14


def test_only_the_shift_along_y_counts():
    still = Stance(torch.zeros(1, 3), torch.tensor([[5.0, 0.5, 7.0]]), torch.zeros(1, 1, 3))
    assert place(torch.zeros(1, 1, 3), still).tolist() == [[[0.0, 0.5, 0.0]]]


@torch.no_grad()
def test_the_coefficient_nets_are_the_published_ones(networks, plain):
    torch.manual_seed(4)
    window, reference, blink = torch.randn(2, 1, 80, 16), torch.randn(2, 64), torch.tensor([0.0, 0.7])
    want = plain.expression(window, reference, blink)
    torch.testing.assert_close(networks.expression(window, reference, blink), want, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(networks.sound(window), plain.sound(window), atol=1e-4, rtol=1e-4)
    windows, pose, motion = torch.randn(2, 32, 80, 16), torch.randn(2, 6), torch.randn(2, 32, 6)
    style, code = torch.tensor([2, 0]), torch.randn(2, 2)
    want = plain.pose(windows, pose, style, code)
    torch.testing.assert_close(networks.pose(windows, pose, style, code), want, atol=1e-4, rtol=1e-4)
    spread = networks.pose.encoder(motion, pose, networks.pose.hear(windows), style)
    torch.testing.assert_close(spread.mean, plain.pose_code(motion, pose, windows, style), atol=1e-4, rtol=1e-4)
    assert torch.equal(spread.mean, spread.log_variance)


@torch.no_grad()
def test_files_in_both_layouts_become_our_networks(networks, layout, tmp_path):
    parts = {}
    for key, tensor in layout.items():
        part, _, name = key.partition(".")
        parts.setdefault(part, {})[name] = tensor
    pose = {"netG": {}, "audio_encoder": {}}
    for key, tensor in parts["pose"].items():
        part, _, name = key.partition(".")
        pose[part][name] = tensor
    torch.save({"netG": parts["exp"]}, tmp_path / "exp.pth")
    torch.save(pose, tmp_path / "pose.pth")
    face = {"generator": parts["generator"], "kp_detector": parts["kp"], "mapping": parts["mapping"]}
    torch.save(face | {"he_estimator": {"fc_t.bias": torch.zeros(3)}}, tmp_path / "face.pth")
    sound = {f"module.{name}": tensor for name, tensor in parts["sound"].items()}
    mouth = shaken(MouthEncoder(TINY))
    correlation = {"image_encoder": mouth.state_dict(), "audio_encoder": sound, "optimizer": {"state": {}}}
    torch.save(correlation, tmp_path / "correlation.pth")
    files = [tmp_path / f"{name}.pth" for name in ("exp", "pose", "face", "correlation")]
    read, report = convert(files, TINY)
    for name, tensor in networks.state_dict().items():
        torch.testing.assert_close(read.state_dict()[name], tensor, atol=1e-5, rtol=1e-5, msg=name)
    assert report.missing == ()
    assert {name.partition(".")[0] for name in report.ignored} == {"he_estimator", "mouth"}
    encoder, _ = convert_mouths(tmp_path / "correlation.pth", TINY)
    assert all(torch.equal(encoder.state_dict()[k], v) for k, v in mouth.state_dict().items() if "num" not in k)


@torch.no_grad()
def test_sadtalkers_files_draw_what_sadtalker_draws(layout, plain, tmp_path):
    names = {"exp": "audio2exp", "pose": "audio2pose", "generator": "generator", "kp": "kp_extractor"}
    gated = ("generator.proj1", "generator.proj2", "generator.linear")
    flat = {
        names[key.partition(".")[0]] + "." + key.partition(".")[2]: tensor
        for key, tensor in layout.items()
        if key.partition(".")[0] in names and not key.startswith(gated)
    }
    flat["face_3drecon.conv1.weight"] = torch.zeros(2)
    save_file(flat, tmp_path / "SadTalker.safetensors")
    mapping = {k.removeprefix("mapping."): t for k, t in layout.items() if k.startswith("mapping.")}
    torch.save({"mapping": mapping, "epoch": 1}, tmp_path / "mapping.pth.tar")
    read, report = convert([tmp_path / "SadTalker.safetensors", tmp_path / "mapping.pth.tar"], TINY)
    assert report.ignored == ("face_3drecon.conv1.weight",)
    lacking = {name.rpartition(".")[0] for name in report.missing if name.startswith("generator")}
    assert lacking == {"generator.proj1", "generator.proj2", "generator.linear"}
    torch.manual_seed(5)
    photo, driving, source = torch.rand(1, 3, 32, 32), torch.rand(1, 4, 3), torch.rand(1, 4, 3)
    want = plain.generate(photo, None, None, driving, source)
    torch.testing.assert_close(read.generator(photo, torch.rand(1, 6), driving, source), want, atol=1e-4, rtol=0)


def test_files_that_are_not_enough_or_of_another_system_are_refused(layout, tmp_path):
    torch.save({"Decoder": {}}, tmp_path / "davs.pth")
    with pytest.raises(CheckpointError, match=r"davs.pth with Decoder, want a TAVCE or SadTalker file"):
        convert([tmp_path / "davs.pth"], TINY)
    mapping = {k.removeprefix("mapping."): t for k, t in layout.items() if k.startswith("mapping.")}
    torch.save({"mapping": mapping}, tmp_path / "mapping.pth")
    with pytest.raises(CheckpointError, match=r"tensors too few, the first expression"):
        convert([tmp_path / "mapping.pth"], TINY)
    mapping["fc_t.bias"] = torch.zeros(4)
    torch.save({"mapping": mapping}, tmp_path / "wide.pth")
    with pytest.raises(CheckpointError, match=r"mapping.fc_t.bias of shape \(4,\), want \(3,\)"):
        convert([tmp_path / "wide.pth"], TINY)


def test_the_published_sizes():
    with torch.device("meta"):
        networks, mouth, redrawer = TavceNetworks(PUBLISHED).eval(), MouthEncoder(PUBLISHED), Redrawer(PUBLISHED)
        kp = torch.zeros(1, 15, 3)
        encoded = networks.generator.encode(torch.zeros(1, 3, 256, 256))
        frame = networks.generator.render(encoded, torch.zeros(1, 128), kp, kp)
        points = networks.detector(torch.zeros(1, 3, 256, 256))
    parts = {**dict(networks.named_children()), "mouth": mouth, "redrawer": redrawer}
    millions = {name: round(sum(p.numel() for p in part.parameters()) / 1e6, 2) for name, part in parts.items()}
    # the pose net's trunk 2.81 and autoencoder 6.33, less the published code's unused layer of 0.008
    assert millions == {
        **{"expression": 2.85, "pose": 9.13, "sound": 2.88, "detector": 41.94, "mapping": 10.2},
        **{"generator": 101.38, "mouth": 14.39, "redrawer": 45.72},
    }
    entries = {name: len(networks.get_submodule(name).state_dict()) for name in ("detector", "mapping", "generator")}
    # published 75, 18, 392: one is the detector's smoothing kernel, two of each of 18 spectral norms are folded away
    assert entries == {"detector": 75 - 1, "mapping": 18, "generator": 392 - 2 * 18}
    assert (encoded.still.shape, encoded.gated.shape) == ((1, 512, 64, 64), (1, 128, 64, 64))
    assert (frame.shape, points.shape) == ((1, 3, 256, 256), (1, 15, 3))


def test_the_published_keys_are_known():
    with torch.device("meta"):
        networks = TavceNetworks(PUBLISHED)
    names = _names(PUBLISHED)
    assert {
        *("generator.dense_motion_network.hourglass.decoder.up_blocks.4", "generator.resblocks_3d.3dr5"),
        *("generator.decoder.up_1.norm_s.mlp_shared.0", "generator.decoder.G_middle_5.conv_1"),
        *("kp.predictor.up_blocks.up4", "pose.netG.encoder.resunet.upsample_3.upsample", "mapping.encoder2.1"),
    } <= set(names)
    places = set(names.values())
    ours = [key for key in networks.state_dict() if "num_batches" not in key]
    assert [key for key in ours if not any(key == p or key.startswith(f"{p}.") for p in places)] == []


def test_the_small_sizes():
    with torch.device("meta"):
        networks = TavceNetworks(SMALL).eval()
        kp = torch.zeros(1, SMALL.keypoints, 3)
        frame = networks.generator(torch.zeros(1, 3, 128, 128), torch.zeros(1, 64), kp, kp)
    assert frame.shape == (1, 3, 128, 128)
    assert sum(p.numel() for p in networks.parameters()) * 4 < 25e6  # bytes


@torch.no_grad()
def test_the_frame_critic_gives_each_layers_features():
    features, scores = FrameCritic()(torch.rand(1, 3, 64, 64))
    assert [tuple(f.shape) for f in features] == [(1, 64, 30, 30), (1, 128, 13, 13), (1, 256, 5, 5), (1, 512, 2, 2)]
    assert scores.shape == (1, 1, 2, 2)
