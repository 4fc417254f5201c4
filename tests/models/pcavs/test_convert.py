"""PC-AVS's checkpoint layout: sizes, key by key, and the published formulas on the loaded weights."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.blocks.style_generator import ModulatedGenerator
from models.checkpoint import load_published
from models.errors import CheckpointError
from models.pcavs.config import PUBLISHED
from models.pcavs.convert import NAMES, convert
from models.pcavs.networks import AUDIO_GAIN, PcavsNetworks
from tests.models.blocks.test_modulated import published_generator
from tests.models.pcavs.published import (
    LAYOUTS,
    TINY,
    published_audio,
    published_embedding,
    published_identity,
    published_motion,
    random_tensors,
)

ENTRIES = {"G": 117, "V": 324, "A_sync": 294, "E": 363}
MILLIONS = {"G": 89.57, "V": 38.0, "A_sync": 7.37 + 2.99, "E": 14.29}
IGNORED = {
    "G": {"input", "style"},
    "V": {"fc", "model.fc"},
    "A_sync": {"fc"},
    "E": {"classifier", "mouth_fc", "headpose_fc"},
}


def by_letter(networks):
    return {"G": networks.generator, "V": networks.identity, "A_sync": networks.audio, "E": networks.motion}


@pytest.fixture(scope="module")
def full_size():
    with torch.device("meta"):
        return by_letter(PcavsNetworks(PUBLISHED))


@pytest.mark.parametrize("letter", ENTRIES)
def test_the_layout_has_the_published_sizes(letter):
    layout = LAYOUTS[letter](PUBLISHED)
    assert len(layout) == ENTRIES[letter]
    weights = sum(
        torch.Size(shape).numel()
        for name, shape in layout.items()
        if not name.endswith(("kernel", "tracked", "running_mean", "running_var")) and "noises" not in name
    )
    assert weights / 1e6 == pytest.approx(MILLIONS[letter], rel=1e-3)


@pytest.mark.parametrize("letter", ENTRIES)
def test_every_published_tensor_has_its_place_or_is_known_to_be_of_no_use(full_size, letter):
    layout = LAYOUTS[letter](PUBLISHED)
    published = {name: torch.empty(shape, device="meta") for name, shape in layout.items()}
    report = load_published(full_size[letter], published, NAMES[letter])
    assert report.missing == ()
    useless = {n for n in layout if any(n.startswith(f"{p}.") for p in IGNORED[letter])}
    assert set(report.ignored) == useless
    assert set(report.loaded) == set(layout) - useless


def test_the_networks_do_the_published_work(full_size):
    """GMAC of one frame or one photo: systems.md, 2.3."""
    generator = PUBLISHED.generator
    inputs = {
        "A_sync": ((1, 1, 80, 20),),
        "V": ((1, 3, 224, 224),),
        "E": ((1, 3, 224, 224),),
        "G": ((1, generator.latents, generator.style_dim), (1, 512, 7, 7)),
    }
    got = {}
    for letter, shapes in inputs.items():
        with FlopCounterMode(display=False) as counter:
            full_size[letter].eval()(*(torch.empty(shape, device="meta") for shape in shapes))
        got[letter] = counter.get_total_flops() / 2e9
    assert got == pytest.approx({"A_sync": 0.472, "V": 4.28, "E": 6.33, "G": 34.70}, rel=1e-3)


@pytest.fixture
def checkpoint(tmp_path):
    """A folder as published, tiny, with random weights; and those weights."""
    tensors = {letter: random_tensors(layout(TINY), seed) for seed, (letter, layout) in enumerate(LAYOUTS.items())}
    for letter, state in tensors.items():
        torch.save(state, tmp_path / f"latest_net_{letter}.pth")
    return tmp_path, tensors


@torch.no_grad()
def test_loaded_networks_equal_the_published_formulas(checkpoint):
    folder, tensors = checkpoint
    networks, _ = convert(folder, TINY)
    torch.manual_seed(0)
    photo, frame, mel = torch.randn(2, 3, 64, 64), torch.randn(2, 3, 64, 64), torch.rand(2, 1, 80, 20)

    voice = published_audio(tensors["A_sync"], mel)
    torch.testing.assert_close(networks.audio(mel), voice, atol=1e-4, rtol=1e-4)

    vector, start = published_identity(tensors["V"], photo, TINY.identity_groups, TINY.generator.start_px)
    torch.testing.assert_close(networks.identity(photo), (vector, [start]), atol=1e-4, rtol=1e-4)

    mouth, _, pose = published_motion(tensors["E"], frame)
    torch.testing.assert_close(networks.motion(frame), (mouth, pose), atol=1e-4, rtol=1e-4)

    generator = ModulatedGenerator(TINY.generator)
    generator.load_state_dict({k: t for k, t in tensors["G"].items() if not k.startswith(("style", "input"))})
    style = torch.cat([vector, published_embedding(tensors["E"], AUDIO_GAIN * voice), pose], 1)
    noise = [tensors["G"][f"noises.noise_{i}"] for i in range(11)]
    want = published_generator(generator, style[:, None].repeat(1, 12, 1), start, noise)
    assert want.std() > 0.1
    torch.testing.assert_close(networks(photo, mel, frame, noise="fixed"), want, atol=1e-4, rtol=1e-4)


def test_the_audio_gain_is_the_published_one():
    assert AUDIO_GAIN == 1.2


def test_head_angles_change_nothing_until_their_map_is_trained(checkpoint):
    networks, _ = convert(checkpoint[0], TINY)
    assert networks.pose_map(torch.tensor([[20.0, -10.0, 5.0]])).tolist() == [[0.0] * TINY.pose]


def test_the_report_names_what_was_not_used_and_what_is_still_to_train(checkpoint):
    _, report = convert(checkpoint[0], TINY)
    assert {"G.style.1.weight", "E.classifier.0.bias", "V.model.fc.weight", "A_sync.fc.weight"} <= set(report.ignored)
    assert set(report.missing) == {"pose_map.inner.weight", "pose_map.inner.bias", "pose_map.outer.weight"}
    assert "E.to_mouth.0.weight" in report.loaded


def test_spoiled_folders_are_refused_with_the_file_that_is_wrong(checkpoint):
    folder, tensors = checkpoint
    path = folder / "latest_net_A_sync.pth"

    def refusal():
        with pytest.raises(CheckpointError) as caught:
            convert(folder, TINY)
        return str(caught.value)

    torch.save(tensors["V"], path)  # another network: same names, other shapes
    assert "model.conv1.weight" in refusal()
    torch.save({"unrelated": torch.zeros(1)}, path)
    assert "latest_net_A_sync.pth without conv1.weight" in refusal()
    path.write_bytes(path.read_bytes()[:200])
    assert "latest_net_A_sync.pth" in refusal()
    path.unlink()
    assert "without latest_net_A_sync.pth" in refusal()


def test_a_wider_checkpoint_is_refused():
    networks = PcavsNetworks(TINY)
    layout = LAYOUTS["G"](TINY) | {"conv1.activate.bias": (1, 9, 1, 1)}
    with pytest.raises(CheckpointError, match="activate"):
        load_published(networks.generator, random_tensors(layout, 0), NAMES["G"])
