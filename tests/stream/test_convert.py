"""`visavis convert` on tiny checkpoints in the published layouts: what it writes, says and refuses."""

import json
from functools import partial

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import models.davs.convert
import models.equiav.convert
import models.pcavs.convert
import models.tavce.convert
from models.davs.networks import DavsNetworks
from models.tavce.networks import TavceNetworks
from stream import cli
from tests.models.davs import test_networks as davs
from tests.models.equiav import test_convert as equiav
from tests.models.pcavs import published as pcavs
from tests.models.shaken import shaken
from tests.models.tavce import test_networks as tavce
from tests.models.test_checkpoint import Bomb

TINY = {"davs": davs.TINY, "pcavs": pcavs.TINY, "tavce": tavce.TINY, "equiav": equiav.TINY}
SYSTEMS = tuple(TINY)
KNOWN = {
    "davs": ("decoder.last2.weight", "Decoder.conv7_2.weight"),
    "pcavs": ("generator.to_rgb1.bias", "to_rgb1.bias"),
    "tavce": ("mapping.yaw.weight", "mapping.fc_yaw.weight"),
    "equiav": ("audio.norm_aug.bias", "norm_a_aug.bias"),
}
"""One tensor of each by our name and by the published one."""


@pytest.fixture(autouse=True)
def tiny_sizes(monkeypatch):
    """As if the published networks were tiny."""
    for system, config in TINY.items():
        module = getattr(models, system).convert
        monkeypatch.setattr(module, "convert", partial(module.convert, config=config))


@pytest.fixture(scope="module")
def published():
    """Each system's tensors by their published names."""
    torch.manual_seed(0)
    return {
        "davs": davs.published(shaken(DavsNetworks(davs.TINY)), models.davs.convert.NETWORKS, davs.TINY),
        "pcavs": {
            f"{letter}:{name}": tensor
            for letter, layout in pcavs.LAYOUTS.items()
            for name, tensor in pcavs.random_tensors(layout(pcavs.TINY), 0).items()
        },
        "tavce": tavce.published(shaken(TavceNetworks(tavce.TINY)), tavce.TINY),
        "equiav": equiav.published_state(""),
    }


@pytest.fixture
def paths(published, tmp_path):
    """What one downloads of each system."""
    (tmp_path / "demo").mkdir()
    for letter in pcavs.LAYOUTS:
        torch.save(_part(published["pcavs"], f"{letter}:"), tmp_path / "demo" / f"latest_net_{letter}.pth")
    nets = {part: _part(published["davs"], f"{part}.") for part in models.davs.convert.NETWORKS}
    torch.save({"epoch": 3, **nets}, tmp_path / "davs.pth.tar", _use_new_zipfile_serialization=False)
    theirs = {"exp": "audio2exp", "pose": "audio2pose", "generator": "generator", "kp": "kp_extractor"}
    flat = [(f"{name}.", _part(published["tavce"], f"{part}.")) for part, name in theirs.items()]
    save_file({prefix + key: t for prefix, part in flat for key, t in part.items()}, tmp_path / "talker.safetensors")
    torch.save({"mapping": _part(published["tavce"], "mapping.")}, tmp_path / "mapping.pth.tar")
    torch.save({f"__M__.{name}": t for name, t in published["equiav"].items()}, tmp_path / "equiav.pth")
    return {
        "davs": [tmp_path / "davs.pth.tar"],
        "pcavs": [tmp_path / "demo"],
        "tavce": [tmp_path / "talker.safetensors", tmp_path / "mapping.pth.tar"],
        "equiav": [tmp_path / "equiav.pth"],
    }


def _part(tensors, prefix):
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def convert(system, paths, out, *more):
    return cli.main(["convert", "--system", system, *map(str, paths), "--out", str(out), *more])


def file_of(path):
    """The file to spoil where a folder is converted."""
    return path / "latest_net_G.pth" if path.is_dir() else path


@pytest.mark.parametrize("system", SYSTEMS)
def test_published_weights_are_written_with_their_system_and_sizes(system, published, paths, tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    assert convert(system, paths[system], out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    ours, theirs = KNOWN[system]
    tensors = load_file(out)
    want = published[system][f"G:{theirs}" if system == "pcavs" else theirs]
    torch.testing.assert_close(tensors[ours], want, atol=0, rtol=0)
    assert (told["system"], told["out"]) == (system, str(out))
    assert any(name.endswith(theirs) for name in told["loaded"])
    with safe_open(out, "pt") as file:
        metadata = file.metadata()
    config = TINY[system]
    assert metadata["system"] == system
    known = type(config).__dataclass_fields__
    assert json.loads(metadata["config"]).keys() == known.keys()
    assert sorted(path.name for path in tmp_path.glob("*out*")) == ["out.safetensors"]


def test_sizes_are_those_of_the_networks(paths, tmp_path):
    convert("davs", paths["davs"], tmp_path / "out.safetensors")
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        config = json.loads(file.metadata()["config"])
    assert (config["image_px"], config["stages"]) == (64, [[4, 6], [6, 5], [7], [8, 8]])


def test_what_was_ignored_and_what_is_missing_is_told(paths, tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    assert convert("pcavs", paths["pcavs"], out) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{out}: pcavs, ")
    assert " ignored (A_sync, E, G, V), 3 missing (pose_map)" in told


@pytest.mark.parametrize("system", SYSTEMS)
def test_spoiled_checkpoints_are_refused_and_an_older_output_stays(system, paths, tmp_path, capsys):
    out, ran = tmp_path / "out.safetensors", tmp_path / "ran"
    out.write_bytes(b"older")
    spoiled = file_of(paths[system][-1])
    whole = spoiled.read_bytes()

    def refusal():
        assert convert(system, paths[system], out) == 1
        assert out.read_bytes() == b"older"
        return capsys.readouterr().err

    spoiled.write_bytes(whole[: len(whole) // 2])
    assert f"got {spoiled.name}: " in refusal()
    torch.save({"weight": Bomb(str(ran))}, spoiled)
    assert f"got {spoiled.name} with a call of posix.mkdir in it" in refusal()
    assert not ran.exists()
    other = {"davs": "equiav", "pcavs": "davs", "tavce": "davs", "equiav": "davs"}[system]
    spoiled.write_bytes(file_of(paths[other][0]).read_bytes())
    assert f"got {spoiled.name} with" in refusal()


def test_a_disk_that_fails_leaves_the_older_output(paths, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"older")

    def fill_up(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("models.weights.save_file", fill_up)
    assert convert("davs", paths["davs"], out) == 1
    assert "No space left" in capsys.readouterr().err
    assert out.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--system", "fctfg", __file__, "--out", "a.safetensors"], "fctfg has no published checkpoint"),
        (["--system", "visavis", __file__, "--out", "a.safetensors"], "must be one of davs, pcavs, tavce, equiav"),
        (["--system", "davs", "missing", "--out", "a.safetensors"], "davs converts the file 101_DAVS_checkpoint.pth"),
        (["--system", "davs", __file__, __file__, "--out", "a.safetensors"], "got 2 paths"),
        (["--system", "pcavs", __file__, "--out", "a.safetensors"], "pcavs converts the folder checkpoints/demo"),
        (["--system", "davs", __file__, "--out", "a.pth"], "--out must end in .safetensors"),
        (["--system", "davs", __file__, "--out", "missing/a.safetensors"], "--out must lie in a folder that exists"),
        (["--system", "tavce", __file__, "--out", __file__], "--out must be another file than the published one"),
    ],
)
def test_wrong_usage_is_told_in_a_line_and_ends_with_2(words, told, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["convert", *words])
    assert left.value.code == 2
    assert told in capsys.readouterr().err
