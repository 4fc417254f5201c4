"""The drawing on a GPU, with fake tensors where there is none: shapes, devices and operators are real, numbers not."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.rig import CONTROLS
from models.visavis.drawing import Drawing, hang
from models.visavis.geometry import Geometry
from models.visavis.ict import Rig, mean_shape
from models.visavis.renderer import PHOTO_PX, IdentityEncoder, PatchNet

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="real tensors are drawn instead")
CUDA = torch.device("cuda", 0)
FAKE = FakeTensorMode(allow_non_fake_inputs=True)  # one for all: constants keep what they were copied to


class Watch(TorchDispatchMode):
    """Notes the operators, and those that read a tensor of the host."""

    def __init__(self):
        super().__init__()
        self.operators, self.from_host = set(), set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operators.add(func.name())
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if any(tensor.device.type == "cpu" for tensor in tensors):
            self.from_host.add(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("batch", [1, 3])
def test_drawing_calls_the_kernels_and_neither_waits_for_the_host_nor_copies_from_it(batch):
    geometry = Geometry(Rig.load())
    with torch.no_grad():
        blank = hang(geometry, IdentityEncoder(), torch.zeros(1, 3, PHOTO_PX, PHOTO_PX), mean_shape())
    with FAKE, torch.no_grad():
        drawing = Drawing(geometry.to(CUDA), PatchNet().half())
        weights = {name: weight.to(CUDA) for name, weight in drawing.named_parameters()}
        faces = [t.to(CUDA).expand(batch, *t.shape[1:]).contiguous() for t in blank.tensors().values()]
        inputs = torch.zeros(batch, len(CONTROLS), device=CUDA), *faces
        functional_call(drawing, weights, inputs)  # constants find their way to the device
        with Watch() as watch:
            frames = functional_call(drawing, weights, inputs)
    assert (frames.shape, frames.device, frames.dtype) == ((batch, 3, 256, 256), CUDA, torch.float32)
    assert {"visavis::splat", "visavis::flow_warp"} <= watch.operators
    assert watch.from_host == set()
