"""Each published system end to end through the stream, with tiny random weights: enrolled, heard, drawn, served."""

import json
import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

import models
from models.davs.networks import DavsNetworks
from models.errors import CheckpointError, MissingWeightsError
from models.fctfg.networks import FctfgNetworks
from models.pcavs.networks import PcavsNetworks
from models.registry import PUBLISHED, load_system
from models.tavce.networks import TavceNetworks
from models.weights import write_weights
from stream import cli
from stream.app import create_app
from stream.config import ServeConfig
from stream.identities import IdentityStore
from tests.models.davs.tiny import TINY as DAVS
from tests.models.fctfg.tiny import tiny as fctfg
from tests.models.pcavs.published import TINY as PCAVS
from tests.models.shaken import shaken
from tests.models.tavce.tiny import TINY as TAVCE
from tests.stream.fakes import tone
from tests.stream.http_fakes import serving
from tests.stream.test_offline import write_wav

PHOTO = Path(models.__file__).parent / "identities" / "ada.jpg"
NETWORKS = {
    "davs": lambda: DavsNetworks(DAVS),
    "pcavs": lambda: PcavsNetworks(PCAVS),
    "fctfg": lambda: FctfgNetworks(fctfg("per_style")),
    "tavce": lambda: TavceNetworks(replace(TAVCE, image_px=64)),
}


@pytest.fixture(scope="module")
def portrait(tmp_path_factory):
    """The photo with more ground around it than any system's frame shows."""
    pixels = np.asarray(Image.open(PHOTO).convert("RGB"))
    margin = pixels.shape[1] // 2
    path = tmp_path_factory.mktemp("photo") / "wide.png"
    Image.fromarray(np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="edge")).save(path)
    return path


@pytest.fixture(scope="module", params=NETWORKS)
def weights(request, tmp_path_factory):
    """The name of a system and a file of tiny weights of it."""
    torch.manual_seed(0)
    networks = shaken(NETWORKS[request.param]())
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    write_weights(path, request.param, networks.state_dict(), asdict(networks.config), {"trained": "{}"})
    return request.param, path


def pictures(film):
    with av.open(film) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


@pytest.mark.parametrize("framing", ["head", "photo"])
def test_a_film_moves_with_the_voice_and_stands_still_at_a_photos_edges(weights, portrait, tmp_path, framing, capsys):
    system, file = weights
    quiet = np.zeros(8_000, np.float32)
    wav = write_wav(tmp_path / "in.wav", np.concatenate([quiet, tone(0.5)]))
    where = ["--out", str(tmp_path / "film.mp4"), "--framing", framing, "--json", "--no-idle"]
    assert cli.main(["render", str(portrait), str(wav), "--system", system, "--weights", str(file), *where]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 25
    shown = pictures(tmp_path / "film.mp4")
    side = load_system(system, file).frame_px
    still, moved = shown[5:8].mean(0), shown[18:].mean(0)
    assert np.abs(moved - still).max() > 2
    if framing == "head":
        assert shown.shape[1:3] == (side, side)
    else:
        assert min(shown.shape[1:3]) > side
        edges = np.abs(moved - still)
        assert max(edges[0].max(), edges[-1].max(), edges[:, 0].max(), edges[:, -1].max()) < 12


async def test_a_server_enrols_and_names_it(weights, tmp_path):
    system, file = weights
    demos = tmp_path / "demos"
    demos.mkdir()
    shutil.copy(PHOTO, demos)
    config = ServeConfig(data_dir=tmp_path / "data", system=system, weights=file)
    app = create_app(config, make_store=partial(IdentityStore, demo_dir=demos))
    async with serving(app) as client:
        listed = (await client.get("/v1/systems")).json()["systems"]
        assert (listed[0]["name"], listed[0]["active"]) == (system, True)
        assert (await client.get("/v1/identities/ada/photo")).status_code == 200


@pytest.mark.parametrize("system", PUBLISHED)
def test_a_system_without_weights_says_what_to_do(system, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("models.registry.bundled", lambda name: None)
    assert cli.main(["enroll", str(PHOTO), "--system", system, "--out", str(tmp_path / "a.safetensors")]) == 1
    told = capsys.readouterr().err
    assert f"visavis train --system {system}" in told
    assert "--weights PATH" in told
    assert ("visavis convert" in told) == (system != "fctfg")
    with pytest.raises(MissingWeightsError):
        load_system(system)


def test_weights_of_another_system_or_damaged_ones_are_refused(weights, tmp_path):
    system, file = weights
    other = next(name for name in PUBLISHED if name != system)
    with pytest.raises(CheckpointError, match=f"got weights of {system}, want weights of {other}"):
        load_system(other, file)
    (tmp_path / "cut.safetensors").write_bytes(file.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="damaged"):
        load_system(system, tmp_path / "cut.safetensors")
    networks = NETWORKS[system]()
    tensors = dict(list(networks.state_dict().items())[1:])
    write_weights(tmp_path / "few.safetensors", system, tensors, asdict(networks.config), {"trained": "{}"})
    with pytest.raises(CheckpointError, match="do not fit"):
        load_system(system, tmp_path / "few.safetensors")


def test_published_tavce_weights_want_a_reader_that_is_not_here(tmp_path):
    networks = NETWORKS["tavce"]()
    write_weights(tmp_path / "w.safetensors", "tavce", networks.state_dict(), asdict(networks.config))
    with pytest.raises(CheckpointError, match="SadTalker's 3-D face network"):
        load_system("tavce", tmp_path / "w.safetensors")
