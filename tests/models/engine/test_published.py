"""Each published system, drawn by OpenVINO, gives the pictures that torch gives."""

import pytest
import torch

from benchmarks.bench_systems import NAMES, untrained
from models.audio import FRONT_ENDS
from models.engine import REFERENCE, choose_published
from models.rig import vector
from models.system import AudioFeatures, ControlBatch

pytest.importorskip("openvino")


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_two_persons_in_one_batch_look_as_torch_draws_them(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fast, reference = untrained(name, choose_published("openvino")), untrained(name, REFERENCE)
    torch.manual_seed(1)
    faces, window = torch.rand(2, 1, 3, 128, 128), FRONT_ENDS[fast.front_end]()
    identities = [fast.bind(face) for face in faces]
    ours, theirs = fast.init_state(2), reference.init_state(2)
    controls = ControlBatch(torch.stack([vector({"headYaw": 9.0}), vector({})]), torch.tensor([1.0, 0.5]))
    for windows in torch.randn(2, 2, window.frame_rows, window.bands):
        features = AudioFeatures(windows, torch.tensor([173.0, 133.0]))
        got = fast.step(identities, features, controls, ours)
        want = reference.step(identities, features, controls, theirs)
        assert want[0].std() > 0.01
        assert (want[0] - want[1]).abs().max() > 0.01
        torch.testing.assert_close(got, want, atol=1e-4, rtol=0)
