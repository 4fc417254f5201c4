"""EquiAV scored on clips: the table of `visavis eval --system equiav --videos`."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.faces import demo_photos
from models.equiav.config import SMALL
from models.equiav.network import EquiAV
from models.training.clips import FRAME_SAMPLES, Clip, encoded
from models.visavis.enrol import find_face
from models.weights import write_weights
from stream.cli import main

FRAMES = 75


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three held-out clips of a still face with different noise."""
    folder = tmp_path_factory.mktemp("clips")
    photo = np.asarray(Image.fromarray(demo_photos()[0]).resize((128, 128)))
    points = find_face(demo_photos()[0]) * 128 / np.array(demo_photos()[0].shape[1::-1])
    for seed in range(3):
        sound = np.random.default_rng(seed).normal(0, 0.1, FRAMES * FRAME_SAMPLES).astype(np.float32)
        track = np.repeat(points[None], FRAMES, axis=0).astype(np.float32)
        clip = Clip((encoded(photo),) * FRAMES, track, np.zeros((FRAMES, 70), np.float32), sound, str(seed), True, ())
        clip.save(folder / str(seed) / "clip.npz")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    write_weights(path, "equiav", EquiAV(SMALL).state_dict(), asdict(SMALL), {"trained": "{}"})
    return path


def test_untrained_networks_are_scored_beside_chance(clips, weights, capsys):
    options = ["--videos", str(clips), "--clip-count", "2", "--weights", str(weights)]
    assert main(["eval", "--system", "equiav", *options, "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)["equiav"]["equiav, untrained"]
    assert (found["clips"], found["windows"], found["chance_r1"]) == (2, 6, 1 / 6)
    assert found["audio_to_video"]["r10"] == 1.0  # six windows
    # a mouth that never moves is everywhere the same: its sound is found no better than any other
    assert found["audio_to_video"]["r1"] <= 0.5
    assert main(["eval", "--system", "equiav", *options]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows[2:]] == ["equiav,", "chance"]
    assert rows[3][1:] == ["0.1667", "0.8333", "1", "0.1667", "0.8333", "1", "0.09677", "0.09677"]


def test_what_equiav_lacks_is_told(clips, weights, tmp_path, capsys):
    assert main(["eval", "--system", "equiav", "--weights", str(weights)]) == 2
    assert "which draws nothing, want --videos to score it on" in capsys.readouterr().err
    assert main(["eval", "--system", "equiav-plain", "--videos", str(clips)]) == 2  # only the other has bundled weights
    assert "and --weights of what is trained" in capsys.readouterr().err
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    broken = ["--weights", str(tmp_path / "other.safetensors")]
    assert main(["eval", "--system", "equiav", "--videos", str(clips), *broken]) == 2
    assert "got other.safetensors, which is no safetensors file or a damaged one" in capsys.readouterr().err
