"""DAVS's networks: published sizes, and the numbers of a plain transcription in the published key layout."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from models.checkpoint import Report
from models.davs.config import PUBLISHED, SMALL, DavsConfig
from models.davs.convert import CRITICS, NETWORKS, convert, convert_critics
from models.davs.critics import DavsCritics, SequenceCritic
from models.davs.networks import DavsNetworks
from models.errors import CheckpointError
from tests.models.blocks.test_fan import Plain as PlainFan
from tests.models.davs.tiny import TINY
from tests.models.shaken import shaken


class Plain:
    """The published networks, layer by layer, over tensors with the published names."""

    def __init__(self, weights):
        self.weights = weights

    def conv(self, x, name, how=F.conv2d, **options):
        return how(x, self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias"), **options)

    def norm(self, x, name):
        return F.batch_norm(
            x, *(self.weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        )

    def linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def block(self, x, number, **options):
        name = f"ID_encoder.block{int(number)}.conv{number}"
        sides = [self.norm(self.conv(x, f"{name}_{side}", **options), f"{name}_{side}_bn") for side in "ab"]
        return torch.max(*sides)

    def identity(self, face):
        x = self.block(face, "01", stride=2, padding=3)
        maps = []
        for stage, count, padding in ((1, 2, 1), (2, 2, 1), (3, 1, 1), (4, 2, 2)):
            x = F.max_pool2d(x, 2, 2)
            for number in range(count):
                x = self.block(x, f"{stage}{number + 1}", padding=padding)
            maps.append(x)
        return F.avg_pool2d(maps[3], 2)[:, :, 0, 0], maps[1], maps[0]

    def decode(self, pid, skip, wid):
        x = torch.cat([pid, wid], 1)[:, :, None, None]
        x = F.relu(self.norm(self.conv(x, "Decoder.deconv1_1_new", F.conv_transpose2d), "Decoder.deconv1_1_bn"))
        for number, count in ((1, 2), (2, 3), (3, 2), (4, 1)):
            if number == 2:  # the published fourth of six: at an eighth of the frame
                x = torch.cat([skip, x], 1)
            for i in range(count):
                name = f"Decoder.convblock{number}.conv{number}_{i}"
                x = F.relu(self.norm(self.conv(x, name, padding=1), f"{name}_bn"))
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        x = self.conv(x, "Decoder.conv7_1", F.conv_transpose2d, padding=1)
        x = self.conv(F.relu(self.norm(x, "Decoder.conv7_1_bn")), "Decoder.conv7_2", F.conv_transpose2d, padding=1)
        return (x.tanh() + 1) / 2

    def audio(self, window):
        one = "mfcc_encoder.model1"
        x = F.leaky_relu(self.norm(self.conv(window, f"{one}.conv1", stride=(3, 2), padding=(1, 2)), f"{one}.bn1"), 0.2)
        x = F.leaky_relu(self.norm(self.conv(x, f"{one}.conv2", stride=2, padding=1), f"{one}.bn2"), 0.2)
        x = F.leaky_relu(self.norm(self.conv(x, f"{one}.conv3"), f"{one}.bn3"), 0.2)
        square = self.conv(x, f"{one}.conv4")
        two = "mfcc_encoder.model2"
        x = F.max_pool2d(F.leaky_relu(self.norm(self.conv(window, f"{two}.conv1"), f"{two}.bn1"), 0.2), 1, 3)
        x = F.leaky_relu(self.norm(self.conv(x, f"{two}.conv2", padding=(1, 0)), f"{two}.bn2"), 0.2)
        tall = self.conv(F.max_pool2d(x, 1, 2), f"{two}.conv3")
        return self.linear(torch.cat([square, tall], 1).view(-1, 64), "mfcc_encoder.fc")

    def lips(self, face):
        name = "lip_feature_encoder"
        trunk = {k.removeprefix(f"{name}.model."): v for k, v in self.weights.items() if k.startswith(f"{name}.model.")}
        fan = PlainFan(trunk, align_corners=True, depth=4)
        x = F.relu(self.norm(fan(face), f"{name}.bn1"))
        x = F.relu(self.conv(x, f"{name}.conv6", stride=2, padding=1))
        return self.linear(x.view(-1, 64), f"{name}.fc")

    def sequence(self, frames, windows):
        x = F.leaky_relu(self.conv(frames, "netD_mul.conv1", stride=2, padding=1), 0.2)
        for name, norm, stride in (("conv2_1", "norm_1", 2), ("conv2_2", "norm_2", 2), ("conv3", "norm3", 1)):
            x = self.conv(x, f"netD_mul.{name}", stride=stride, padding=1)
            x = F.leaky_relu(self.norm(x, f"netD_mul.{norm}"), 0.2)
        patches = self.conv(x, "netD_mul.conv4", padding=1).sigmoid()
        x = F.leaky_relu(self.norm(self.conv(x[:, :, 19:28, 11:20], "netD_mul.conv6"), "netD_mul.bn6"), 0.2)
        x = F.leaky_relu(self.conv(x, "netD_mul.conv9"), 0.2)
        how = ({"stride": (3, 2), "padding": (1, 2)}, {"stride": 2, "padding": 1}, {}, {})
        for i, options in enumerate(how):
            windows = self.conv(windows, f"netD_mul.mfcc_conv{i + 1}", **options)
            windows = self.norm(windows, f"netD_mul.mfcc_bn{i + 1}")
        x = torch.cat([x, windows], 1).flatten(1)
        return patches, self.linear(self.linear(x, "netD_mul.fc"), "netD_mul.fc2").sigmoid()


def published(module, parts, config):
    """A module's tensors under the published names, as Python 2 saved them: no batch counters."""
    from models.davs.convert import _names

    names = _names(config)
    table = {f"{ours}.{b}": f"{theirs}.{a}" for theirs, ours in parts.items() for a, b in names[theirs].items()}
    renamed = {}
    for key, tensor in module.state_dict().items():
        fits = [name for name in table if key.startswith(f"{name}.")]
        if fits and "num_batches" not in key:
            longest = max(fits, key=len)
            renamed[table[longest] + key.removeprefix(longest)] = tensor.clone()
    return renamed


@pytest.fixture(scope="module")
def networks():
    return shaken(DavsNetworks(TINY))


@pytest.fixture(scope="module")
def plain(networks):
    return Plain(published(networks, NETWORKS, TINY))


@torch.no_grad()
def test_the_encoders_compute_what_the_published_ones_do(networks, plain):
    torch.manual_seed(1)
    face, window = torch.rand(2, 3, 64, 64), torch.randn(2, 1, 20, 12)
    person = networks.identity(face)
    for got, want in zip((person.code, person.map, person.early), plain.identity(face), strict=True):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(networks.audio(window), plain.audio(window), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(networks.lips(face), plain.lips(face), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_decoder_split_by_person_and_word_is_the_published_one(networks, plain):
    torch.manual_seed(2)
    person, words = networks.identity(torch.rand(2, 3, 64, 64)), torch.randn(2, 8)
    want = plain.decode(person.code, person.map, words)
    assert want.std() > 0.05  # not saturated
    painted = networks.decoder.paint(person)
    torch.testing.assert_close(networks.decoder.speak(painted, words), want, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_fused_decoder_draws_the_same(networks):
    torch.manual_seed(3)
    person, words = networks.identity(torch.rand(2, 3, 64, 64)), torch.randn(2, 8)
    fused = shaken(DavsNetworks(TINY)).decoder.fuse()
    assert not any("norm" in name for name in fused.state_dict())
    torch.testing.assert_close(fused(person, words), networks.decoder(person, words), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_sequence_critic_computes_what_the_published_one_does():
    critics = torch.nn.ModuleDict({"sequence": shaken(SequenceCritic(replace(PUBLISHED, critic_width=8), frames=1))})
    plain = Plain(published(critics, {"netD_mul": "sequence"}, PUBLISHED))
    frames, windows = torch.rand(1, 1, 3, 256, 256), torch.randn(1, 1, 20, 12)
    want = plain.sequence(frames.flatten(1, 2), windows)
    for got, expected in zip(critics["sequence"](frames, windows), want, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_the_published_sizes():
    with torch.device("meta"):
        networks, critics = DavsNetworks(PUBLISHED).eval(), DavsCritics(PUBLISHED).eval()
        face, window = torch.zeros(1, 3, 256, 256), torch.zeros(1, 1, 20, 12)
        person, words = networks.identity(face), networks.audio(window)
        frame = networks.decoder(person, words)
        patches, match = critics.sequence(torch.zeros(1, 6, 3, 256, 256), torch.zeros(1, 6, 20, 12))
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in networks.named_children()}
    # published: 15.620, 1.603 and 22.405 M; the audio encoder's has a batch norm of 512 that is never applied
    assert sizes == {"identity": 15_619_584, "audio": 1_603_136 - 1_024, "lips": 6_512_817, "decoder": 22_404_547}
    entries = {name: len(part.state_dict()) for name, part in networks.named_children()}
    assert entries == {"identity": 238, "audio": 39 - 5, "lips": 349 - 6, "decoder": 142}
    assert sum(p.numel() for p in critics.sequence.parameters()) // 10_000 == 1901  # 19.0 M
    assert (person.code.shape, person.map.shape, person.early.shape) == ((1, 256), (1, 160, 32, 32), (1, 64, 64, 64))
    assert (words.shape, frame.shape) == ((1, 256), (1, 3, 256, 256))
    assert (patches.shape, match.shape) == ((1, 1, 30, 30), (1, 1))


def test_the_small_sizes():
    with torch.device("meta"):
        networks, critics = DavsNetworks(SMALL).eval(), DavsCritics(SMALL).eval()
        frame = networks.decoder(networks.identity(torch.zeros(1, 3, 128, 128)), torch.zeros(1, 128))
        patches, _ = critics.sequence(torch.zeros(1, 6, 3, 128, 128), torch.zeros(1, 6, 20, 12))
    assert frame.shape == (1, 3, 128, 128)
    assert patches.shape == (1, 1, 14, 14)
    assert sum(p.numel() for p in networks.parameters()) * 4 < 25e6  # bytes


def test_rounds_that_do_not_reach_the_frame_are_refused():
    with pytest.raises(ValueError, match="6 rounds end at 256 px, want 128"):
        DavsConfig(image_px=128)


PUBLISHED_KEYS = (
    *("ID_encoder.block1.conv01_a.weight", "ID_encoder.block26.conv26_b_bn.running_var"),
    *("ID_encoder.block42.conv42_b.bias", "mfcc_encoder.model1.bn3.weight", "mfcc_encoder.model2.conv3.weight"),
    *("lip_feature_encoder.model.m0.b2_plus_1.conv3.weight", "lip_feature_encoder.model.conv4.downsample.2.weight"),
    *("lip_feature_encoder.conv6.bias", "Decoder.deconv1_1_new.weight", "Decoder.convblock4.conv4_3_bn.bias"),
    "Decoder.conv7_2.bias",
)


def test_the_published_keys_are_known():
    with torch.device("meta"):
        layout = published(DavsNetworks(PUBLISHED), NETWORKS, PUBLISHED)
        ours = [key for key in DavsNetworks(PUBLISHED).state_dict() if "num_batches" not in key]
    assert set(PUBLISHED_KEYS) <= set(layout)
    assert len(layout) == len(ours)


@torch.no_grad()
def test_a_published_checkpoint_becomes_our_networks(networks, tmp_path):
    saved = {"step": 7, "epoch": 3, "optimizer_G": {"state": {}}}
    for key, tensor in published(networks, NETWORKS, TINY).items():
        part, _, name = key.partition(".")
        saved.setdefault(part, {})[f"module.{name}"] = tensor
    saved["lip_feature_encoder"]["module.model.conv5.weight"] = torch.zeros(3)
    saved["netD"] = {"module.conv1.bias": torch.zeros(2)}
    torch.save(saved, tmp_path / "101.pth.tar", _use_new_zipfile_serialization=False)
    read, report = convert(tmp_path / "101.pth.tar", TINY)
    face, window = torch.rand(1, 3, 64, 64), torch.randn(1, 1, 20, 12)
    torch.testing.assert_close(
        read.decoder(read.identity(face), read.audio(window)),
        networks.decoder(networks.identity(face), networks.audio(window)),
        atol=0,
        rtol=0,
    )
    counters = sum("num_batches" in key for key in networks.state_dict())
    assert len(report.loaded) == len(networks.state_dict()) - counters
    assert report.ignored == ("lip_feature_encoder.model.conv5.weight", "netD.conv1.bias")
    assert report.missing == ()


def test_a_checkpoint_of_another_system_or_half_the_networks_is_refused(networks, tmp_path):
    torch.save({"generator": {}}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="with generator, want a DAVS checkpoint with ID_encoder"):
        convert(tmp_path / "other.pth", TINY)
    half = {name: {} for name in NETWORKS}
    torch.save(half, tmp_path / "half.pth")
    with pytest.raises(CheckpointError, match=r"without \d+ tensors: identity"):
        convert(tmp_path / "half.pth", TINY)


def test_a_training_checkpoint_gives_its_critics(tmp_path):
    critics = shaken(DavsCritics(TINY))
    saved = {}
    for key, tensor in published(critics, CRITICS, TINY).items():
        part, _, name = key.partition(".")
        saved.setdefault(part, {})[name] = tensor
    del saved["discriminator_audio"]["fc1.bias"]
    torch.save(saved, tmp_path / "training.pth")
    read, report = convert_critics(tmp_path / "training.pth", TINY)
    assert isinstance(report, Report)
    assert report.missing == ("modality.fc1.bias",)
    same = {k for k, v in read.state_dict().items() if torch.equal(v, critics.state_dict()[k])}
    assert set(critics.state_dict()) - same == {"modality.fc1.bias"}
