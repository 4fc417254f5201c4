"""The drawing on a GPU, played by torch's device without numbers: shapes, devices and operators are those of a GPU."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.rig import CONTROLS
from models.visavis.drawing import Drawing, hang
from models.visavis.geometry import Geometry
from models.visavis.ict import Rig, mean_shape
from models.visavis.matte import MATTE_PX
from models.visavis.renderer import PHOTO_PX, IdentityEncoder, PatchNet

GPU = torch.device("meta")


class Watch(TorchDispatchMode):
    """Notes the operators, and those that read a tensor of the host."""

    def __init__(self):
        super().__init__()
        self.operators, self.from_host = set(), set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operators.add(func.name())
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if any(tensor.device != GPU for tensor in tensors):
            self.from_host.add(func.name())
        return func(*args, **(kwargs or {}))


@pytest.fixture
def kernels_run_there(monkeypatch):
    for operator in ("splat", "flow_warp"):
        monkeypatch.setattr(f"kernels.{operator}.op.takes_triton", lambda impl, tensor: tensor.device == GPU)


@torch.no_grad()
def test_drawing_calls_the_kernels_and_neither_waits_for_the_host_nor_copies_from_it(kernels_run_there):
    geometry, batch = Geometry(Rig.load()), 3
    grey = torch.zeros(1, 3, PHOTO_PX, PHOTO_PX), torch.zeros(1, 1, MATTE_PX, MATTE_PX)
    blank = hang(geometry, IdentityEncoder(), *grey, mean_shape())
    drawing = Drawing(geometry.to(GPU), PatchNet().half().to(GPU))
    faces = [t.to(GPU).expand(batch, *t.shape[1:]).contiguous() for t in blank.tensors().values()]
    controls = torch.zeros(batch, len(CONTROLS), device=GPU)
    drawing(controls, *faces)  # constants find their way to the device
    with Watch() as watch:
        frames = drawing(controls, *faces)  # a number that the host wanted to know would be an error
    assert (frames.shape, frames.device, frames.dtype) == ((batch, 3, 256, 256), GPU, torch.float32)
    assert {"visavis::splat", "visavis::flow_warp"} <= watch.operators
    assert watch.from_host == set()
