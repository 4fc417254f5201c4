import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.contract import FLOATS
from kernels.errors import DtypeError, LayoutError, ShapeError
from kernels.flow_warp import flow_warp, flow_warp_reference
from tests.kernels.poison import poisoned

IMPLS = ("reference", "triton")
# the output is rounded once to its type; float32 positions are known to some 1e-6 of a side
TOLERANCES = {torch.float32: (1e-5, 1e-4), torch.float16: (1e-3, 1e-3), torch.bfloat16: (8e-3, 8e-3)}


def inputs(features: tuple[int, ...], flow: tuple[int, int], size: tuple[int, int]) -> tuple[Tensor, ...]:
    """Smooth positions that leave the features on every side, and noise for the rest."""
    random = torch.Generator().manual_seed(sum(features) + sum(flow))
    batch, channels = features[:2]
    return (
        torch.randn(features, generator=random),
        torch.rand(batch, 2, *flow, generator=random) * 2.6 - 1.3,
        torch.rand(batch, 1, *flow, generator=random),
        torch.randn(batch, channels, *size, generator=random),
    )


def check(tensors: tuple[Tensor | None, ...], size, dtype, device, align_corners, padding) -> None:
    """Triton on rounded inputs against the reference in float64 on the same."""
    features, flow, occlusion, background = (
        None if t is None else t.to(torch.float32 if place == 1 else dtype) for place, t in enumerate(tensors)
    )
    given = [None if t is None else poisoned(t, device) for t in (features, flow, occlusion, background)]
    got = flow_warp(*given, size=size, align_corners=align_corners, padding=padding, impl="triton")
    doubles = [None if t is None else t.double() for t in (features, flow, occlusion, background)]
    wanted = flow_warp_reference(*doubles, size, align_corners, padding == "border")
    assert got.dtype == dtype
    rtol, atol = TOLERANCES[dtype]
    torch.testing.assert_close(got.cpu().double(), wanted, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_triton_matches_reference(dtype, device):
    # more pixels and channels than one program carries
    check(inputs((2, 17, 13, 9), (5, 4), (20, 13)), (20, 13), dtype, device, False, "zeros")


@pytest.mark.parametrize("given_maps", ["flow", "flow and occlusion", "all"])
def test_occlusion_and_background_are_optional(given_maps, device):
    features, flow, occlusion, background = inputs((2, 3, 7, 11), (7, 11), (7, 11))
    occlusion = None if given_maps == "flow" else occlusion
    background = background if given_maps == "all" else None
    check((features, flow, occlusion, background), (7, 11), torch.float32, device, False, "zeros")


@settings(max_examples=20)
@given(
    features=st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 12), st.integers(1, 12)),
    flow=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 15), st.integers(1, 15)),
    align_corners=st.booleans(),
    padding=st.sampled_from(["zeros", "border"]),
)
def test_triton_matches_reference_at_any_size(features, flow, size, align_corners, padding, device):
    check(inputs(features, flow, size), size, torch.float32, device, align_corners, padding)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("align_corners", [False, True])
def test_a_flow_to_itself_changes_nothing(align_corners, impl, device):
    features = torch.randn(2, 3, 6, 10)
    edge = [1.0, 1.0] if align_corners else [5 / 6, 9 / 10]
    y, x = (torch.linspace(-e, e, n) for e, n in zip(edge, (6, 10), strict=True))
    flow = torch.stack([x.expand(6, 10), y[:, None].expand(6, 10)]).expand(2, -1, -1, -1).contiguous()
    got = flow_warp(features.to(device), flow.to(device), align_corners=align_corners, impl=impl)
    torch.testing.assert_close(got.cpu(), features, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("impl", IMPLS)
def test_where_nothing_shows_lies_the_background(impl, device):
    features, flow, occlusion, background = (t.to(device) for t in inputs((1, 2, 4, 4), (4, 4), (4, 4)))
    got = flow_warp(features, flow, torch.zeros_like(occlusion), background, impl=impl)
    torch.testing.assert_close(got, background)
    assert flow_warp(features, flow, torch.zeros_like(occlusion), impl=impl).count_nonzero() == 0


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_positions_far_outside_are_padding(padding, impl, device):
    features = torch.arange(1.0, 5.0).view(1, 1, 2, 2)
    flow = torch.full((1, 2, 2, 2), 1e15)
    got = flow_warp(features.to(device), flow.to(device), padding=padding, impl=impl)
    assert got.unique().tolist() == ([4.0] if padding == "border" else [0.0])


def test_compiler_and_export_take_the_operator(device):
    tensors = tuple(tensor.to(device) for tensor in inputs((2, 3, 5, 7), (3, 2), (6, 9)))
    torch.library.opcheck(torch.ops.visavis.flow_warp.default, (*tensors, 6, 9, False, True))

    class Warp(torch.nn.Module):
        def forward(self, *args: Tensor) -> Tensor:
            return flow_warp(*args, size=(6, 9), impl="triton") + 1

    wanted = flow_warp(*tensors, size=(6, 9), impl="triton") + 1
    compiled = torch.compile(Warp(), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*tensors), wanted)
    torch.testing.assert_close(torch.export.export(Warp(), tensors).module()(*tensors), wanted)


def test_bad_input_is_refused():
    features, flow, occlusion, background = inputs((2, 3, 5, 7), (3, 2), (5, 7))
    with pytest.raises(ShapeError, match=r"flow \[2, 1, 3, 2\], want \[2, 2, h, w\]"):
        flow_warp(features, flow[:, :1])
    with pytest.raises(ShapeError, match="occlusion"):
        flow_warp(features, flow, occlusion[:, :, :2])
    with pytest.raises(ShapeError, match=r"background \[2, 3, 5, 7\], want \[2, 3, 4, 7\]"):
        flow_warp(features, flow, occlusion, background, size=(4, 7))
    with pytest.raises(ShapeError, match="background without an occlusion"):
        flow_warp(features, flow, None, background)
    with pytest.raises(ShapeError, match=r"at least \(1, 1\)"):
        flow_warp(features, flow, size=(0, 7))
    with pytest.raises(LayoutError, match="features with strides"):
        flow_warp(features.transpose(2, 3), flow)
    with pytest.raises(DtypeError, match=r"flow of torch.float64"):
        flow_warp(features, flow.double())
