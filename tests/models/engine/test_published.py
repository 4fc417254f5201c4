"""Each published system, drawn by OpenVINO, gives the pictures that torch gives."""

import pytest
import torch

from models.davs import config as davs
from models.davs.networks import DavsNetworks
from models.davs.system import Davs
from models.engine import REFERENCE, choose_published
from models.fctfg import config as fctfg
from models.fctfg.networks import FctfgNetworks
from models.fctfg.system import Fctfg
from models.pcavs import config as pcavs
from models.pcavs.networks import PcavsNetworks
from models.pcavs.system import Pcavs
from models.rig import vector
from models.system import AudioFeatures, ControlBatch
from models.tavce import config as tavce
from models.tavce.networks import TavceNetworks
from models.tavce.system import Tavce

pytest.importorskip("openvino")

WINDOWS = {"davs": (20, 12), "pcavs": (20, 80), "fctfg": (16, 80), "tavce": (16, 80)}
LOWEST = {"davs": 0.0, "pcavs": -1.0, "fctfg": -1.0, "tavce": 0.0}
"""Of the values of a face in each system's crop; the highest is 1."""


def make(name, plan):
    match name:
        case "davs":
            return Davs(fresh(DavsNetworks, davs.SMALL), plan)
        case "pcavs":
            return Pcavs(fresh(PcavsNetworks, pcavs.SMALL), plan=plan)
        case "fctfg":
            return Fctfg(fresh(FctfgNetworks, fctfg.SMALL), plan=plan)
        case _:
            return Tavce(fresh(TavceNetworks, tavce.SMALL), lambda face: torch.linspace(-1, 1, 70)[None], plan)


def fresh(networks, config):
    """Untrained, with noise that shows."""
    torch.manual_seed(0)
    made = networks(config)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if name.endswith("noise.weight"):
                weight.fill_(0.1)
    return made.eval()


@pytest.mark.parametrize("name", WINDOWS)
@torch.no_grad()
def test_two_persons_in_one_batch_look_as_torch_draws_them(name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fast, reference = make(name, choose_published("openvino")), make(name, REFERENCE)
    torch.manual_seed(1)
    faces = torch.rand(2, 1, 3, 128, 128) * (1 - LOWEST[name]) + LOWEST[name]
    identities = [fast.bind(face) for face in faces]
    ours, theirs = fast.init_state(2), reference.init_state(2)
    controls = ControlBatch(torch.stack([vector({"headYaw": 9.0}), vector({})]), torch.tensor([1.0, 0.5]))
    for windows in torch.randn(2, 2, *WINDOWS[name]):
        features = AudioFeatures(windows, torch.tensor([173.0, 133.0]))
        got = fast.step(identities, features, controls, ours)
        want = reference.step(identities, features, controls, theirs)
        assert want[0].std() > 0.01
        assert (want[0] - want[1]).abs().max() > 0.01
        torch.testing.assert_close(got, want, atol=1e-4, rtol=0)
