import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.contract import FLOATS
from kernels.errors import DtypeError, LayoutError, ShapeError
from kernels.modulated_conv import modulated_conv, modulated_conv_reference, pack_weight
from tests.kernels.poison import poisoned

IMPLS = ("reference", "triton")
# sums of some 150 products of rounded inputs; `up` rounds twice
TOLERANCES = {torch.float32: (1e-5, 2e-5), torch.float16: (4e-3, 4e-3), torch.bfloat16: (3e-2, 3e-2)}


@pytest.fixture(autouse=True)
def _full_float32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def inputs(batch: int, ins: int, outs: int, side: int, size: tuple[int, int], up: bool, dtype: torch.dtype):
    """x, style, weight, bias, noise."""
    random = torch.Generator().manual_seed(batch + ins + outs)
    factor = 2 if up else 1
    weight = torch.randn(outs, ins, side, side, generator=random) / (ins * side * side) ** 0.5
    return (
        torch.randn(batch, ins, *size, generator=random).to(dtype),
        torch.rand(batch, ins, generator=random) + 0.5,
        weight.to(dtype),
        torch.randn(outs, generator=random),
        torch.randn(batch, 1, factor * size[0], factor * size[1], generator=random).to(dtype),
    )


def check(tensors: tuple[Tensor, ...], device: torch.device, *, demodulate=True, up=False, slope=0.2, gain=1.5) -> None:
    """Triton against the reference in float64 on the same rounded inputs."""
    x, style, weight, bias, noise = (poisoned(tensor, device) for tensor in tensors)
    how = {"demodulate": demodulate, "up": up, "slope": slope, "gain": gain}
    got = modulated_conv(x, style, pack_weight(weight), bias=bias, noise=noise, impl="triton", **how)
    doubles = (tensor.double() for tensor in tensors)
    wanted = modulated_conv_reference(*doubles, demodulate, up, slope, gain)
    assert got.dtype == tensors[0].dtype
    rtol, atol = TOLERANCES[got.dtype]
    torch.testing.assert_close(got.cpu().double(), wanted, rtol=rtol, atol=atol)


@pytest.mark.parametrize(
    ("side", "up", "outs", "dtype"),
    [
        (1, False, 67, torch.float32),
        *((3, False, 5, dtype) for dtype in FLOATS),
        *((3, True, 3, dtype) for dtype in FLOATS),
    ],
    ids=str,
)
def test_triton_matches_reference(side, up, outs, dtype, device):
    # more pixels, input and output channels than one program carries
    check(inputs(2, 33, outs, side, (5, 13), up, dtype), device, up=up)


@settings(max_examples=8)
@given(
    batch=st.integers(1, 2),
    ins=st.integers(1, 40),
    outs=st.integers(1, 5),
    side_up=st.sampled_from([(1, False), (3, False), (3, True)]),
    size=st.tuples(st.integers(1, 10), st.integers(1, 10)),
    demodulate=st.booleans(),
)
def test_triton_matches_reference_at_any_size(batch, ins, outs, side_up, size, demodulate, device):
    side, up = side_up
    check(inputs(batch, ins, outs, side, size, up, torch.float32), device, demodulate=demodulate, up=up)


@pytest.mark.parametrize("impl", IMPLS)
def test_it_equals_weights_of_each_sample(impl, device):
    x, style, weight, _, _ = inputs(2, 5, 7, 3, (6, 4), False, torch.float32)
    own = weight[None] * style[:, None, :, None, None]  # [B, C_out, C_in, 3, 3]
    own = own / (own.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    wanted = torch.cat([F.conv2d(row[None], kernel, padding=1) for row, kernel in zip(x, own, strict=True)])
    got = modulated_conv(x.to(device), style.to(device), pack_weight(weight.to(device)), slope=1.0, gain=1.0, impl=impl)
    torch.testing.assert_close(got.cpu(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("impl", IMPLS)
def test_doubling_keeps_a_flat_picture_flat(impl, device):
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 1] = 1.0  # with zeros between the samples the filter alone fills the gaps
    got = modulated_conv(
        torch.ones(1, 1, 8, 8, device=device),
        torch.ones(1, 1, device=device),
        pack_weight(weight.to(device)),
        demodulate=False,
        up=True,
        slope=1.0,
        gain=1.0,
        impl=impl,
    )
    assert got.shape == (1, 1, 16, 16)
    torch.testing.assert_close(got[:, :, 2:-2, 2:-2].cpu(), torch.ones(1, 1, 12, 12))


@pytest.mark.parametrize("impl", IMPLS)
def test_bias_noise_slope_and_gain_come_in_this_order(impl, device):
    ones = torch.ones(1, 1, 1, 1, device=device)
    got = modulated_conv(
        ones,
        ones[0, 0],
        pack_weight(ones),
        bias=torch.tensor([-4.0], device=device),
        noise=2 * ones,
        demodulate=False,
        slope=0.5,
        gain=3.0,
        impl=impl,
    )
    assert got.item() == (1 + 2 - 4) * 0.5 * 3


def test_compiler_and_export_take_the_operator(device):
    x, style, weight, bias, noise = (t.to(device) for t in inputs(2, 3, 4, 3, (3, 5), False, torch.float32))
    packed = pack_weight(weight)
    arguments = (x, style, packed.taps, packed.power, bias, noise, True, False, 0.2, 1.0)
    torch.library.opcheck(torch.ops.visavis.modulated_conv.default, arguments)

    class Layer(torch.nn.Module):
        def forward(self, x: Tensor, style: Tensor) -> Tensor:
            return modulated_conv(x, style, packed, impl="triton") + 1

    wanted = modulated_conv(x, style, packed, impl="triton") + 1
    torch.testing.assert_close(torch.compile(Layer(), backend="aot_eager", fullgraph=True)(x, style), wanted)
    torch.testing.assert_close(torch.export.export(Layer(), (x, style)).module()(x, style), wanted)


def test_bad_input_is_refused():
    x, style, weight, bias, noise = inputs(2, 3, 4, 3, (3, 5), False, torch.float32)
    packed = pack_weight(weight)
    with pytest.raises(ShapeError, match=r"x \[2, 2, 3, 5\], want \[B, 3, H, W\]"):
        modulated_conv(x[:, :2], style, packed)
    with pytest.raises(ShapeError, match="style"):
        modulated_conv(x, style[:1], packed)
    with pytest.raises(ShapeError, match="bias"):
        modulated_conv(x, style, packed, bias=bias[:2])
    with pytest.raises(ShapeError, match=r"noise \[2, 1, 3, 5\], want \[2, 1, 6, 10\]"):
        modulated_conv(x, style, packed, noise=noise, up=True)
    with pytest.raises(ShapeError, match="up with a 1 x 1 kernel"):
        modulated_conv(x, style, pack_weight(weight[..., :1, :1]), up=True)
    with pytest.raises(ShapeError, match="weight"):
        pack_weight(torch.zeros(4, 3, 5, 5))
    with pytest.raises(LayoutError, match="x with strides"):
        modulated_conv(x.transpose(2, 3), style, packed)
    with pytest.raises(DtypeError, match=r"weight of torch.float32, want torch.float16"):
        modulated_conv(x.half(), style, packed)
