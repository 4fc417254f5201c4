import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.composite_i420 import composite_i420, composite_i420_reference
from kernels.contract import FLOATS
from kernels.errors import DtypeError, LayoutError, ShapeError
from kernels.i420 import rgb_to_i420
from tests.kernels.poison import poisoned

IMPLS = ("reference", "triton")


def inputs(batch: int, size: tuple[int, int], crop: tuple[int, int], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """A turned, scaled and shifted crop of noise that covers much of a photo of noise."""
    random = torch.Generator().manual_seed(sum(size) + sum(crop))
    photo = torch.randint(0, 256, (batch, 3, *size), generator=random, dtype=torch.uint8)
    colour = torch.randn(batch, 3, *crop, generator=random)  # beyond -1 and 1 too
    matte = torch.rand(batch, 1, *crop, generator=random)
    turn = torch.rand(batch, generator=random) * 2 * math.pi
    scale = 0.7 * torch.tensor([crop[1] / size[1], crop[0] / size[0]])
    axes = torch.stack([torch.stack([turn.cos(), -turn.sin()], 1), torch.stack([turn.sin(), turn.cos()], 1)], 1)
    linear = axes * scale[:, None]
    middles = torch.tensor([size[1], size[0]]) / 2, torch.tensor([crop[1], crop[0]]) / 2
    shift = middles[1] - linear @ middles[0]
    return photo, colour.to(dtype), matte.to(dtype), torch.cat([linear, shift[..., None]], 2).float()


def wanted_codes(tensors: tuple[Tensor, ...]) -> Tensor:
    """What the reference gives in float64."""
    photo, crop, matte, to_crop = tensors
    return composite_i420_reference(photo, crop.double(), matte.double(), to_crop)


def assert_same_codes(got: Tensor, wanted: Tensor) -> None:
    off = (got.cpu().int() - wanted.int()).abs()
    # float32 may land on the other side of a .5 tie: one level, rarely
    assert off.max() <= 1
    assert (off > 0).sum() <= max(1, 2e-3 * off.numel())


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("size", [(2, 2, 2, 1, 1), (2, 14, 34, 7, 13), (3, 34, 22, 64, 48)], ids=str)
def test_triton_matches_reference(size, dtype, device):
    tensors = inputs(size[0], size[1:3], size[3:], dtype)
    got = composite_i420(*(poisoned(tensor, device) for tensor in tensors), impl="triton")
    assert_same_codes(got, wanted_codes(tensors))


@settings(max_examples=15)
@given(
    batch=st.integers(1, 2),
    half=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    crop=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_triton_matches_reference_at_any_size(batch, half, crop, device):
    tensors = inputs(batch, (2 * half[0], 2 * half[1]), crop, torch.float32)
    got = composite_i420(*(poisoned(tensor, device) for tensor in tensors), impl="triton")
    assert_same_codes(got, wanted_codes(tensors))


@pytest.mark.parametrize("impl", IMPLS)
def test_a_full_matte_in_place_shows_the_crop_as_rgb_to_i420_does(impl, device):
    torch.manual_seed(0)
    crop = torch.randn(2, 3, 10, 14)
    still = torch.zeros(2, 3, 10, 14, dtype=torch.uint8)
    here = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).repeat(2, 1, 1)
    tensors = (still, crop, torch.ones(1, 1, 10, 14), here)
    got = composite_i420(*(tensor.to(device) for tensor in tensors), impl=impl)
    assert_same_codes(got, rgb_to_i420(crop))


@pytest.mark.parametrize("impl", IMPLS)
def test_beyond_the_crop_the_photo_is_untouched(impl, device):
    photo = torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8)
    far = torch.tensor([[[1.0, 0.0, 1e12], [0.0, 1.0, 0.0]]])  # a map that leaves 32-bit integers
    tensors = (photo, torch.ones(1, 3, 4, 4), torch.ones(1, 1, 4, 4), far)
    got = composite_i420(*(tensor.to(device) for tensor in tensors), impl=impl)
    assert_same_codes(got, rgb_to_i420(photo / 127.5 - 1))


@pytest.mark.parametrize("impl", IMPLS)
def test_the_map_says_where_the_crop_lands(impl, device):
    to_crop = torch.tensor([[[1.0, 0.0, -4.0], [0.0, 1.0, -2.0]]])  # the crop's first pixel lies at x 4, y 2
    photo = torch.zeros(1, 3, 6, 8, dtype=torch.uint8)
    tensors = (photo, torch.ones(1, 3, 2, 2), torch.ones(1, 1, 2, 2), to_crop)
    got = composite_i420(*(tensor.to(device) for tensor in tensors), impl=impl)
    assert (got[0, :6] == 235).nonzero().tolist() == [[2, 4], [2, 5], [3, 4], [3, 5]]
    assert got[0, 6:].unique().tolist() == [128]


def test_compiler_and_export_take_the_operator(device):
    tensors = tuple(tensor.to(device) for tensor in inputs(2, (6, 10), (5, 3), torch.float32))
    torch.library.opcheck(torch.ops.visavis.composite_i420.default, tensors)

    class Paste(torch.nn.Module):
        def forward(self, *args: Tensor) -> Tensor:
            return composite_i420(*args, impl="triton") // 2

    wanted = composite_i420(*tensors, impl="triton") // 2
    compiled = torch.compile(Paste(), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*tensors), wanted)
    torch.testing.assert_close(torch.export.export(Paste(), tensors).module()(*tensors), wanted)


def test_bad_input_is_refused():
    photo, crop, matte, to_crop = inputs(2, (6, 10), (5, 3), torch.float32)
    with pytest.raises(ShapeError, match="even H and W"):
        composite_i420(photo[:, :, :5], crop, matte, to_crop)
    with pytest.raises(ShapeError, match=r"crop \[1, 3, 5, 3\], want \[2, 3, h, w\]"):
        composite_i420(photo, crop[:1], matte, to_crop)
    with pytest.raises(ShapeError, match="matte"):
        composite_i420(photo, crop, matte[..., :2], to_crop)
    with pytest.raises(LayoutError, match="photo with strides"):
        composite_i420(photo[..., ::5], crop, matte, to_crop)
    with pytest.raises(DtypeError, match=r"crop of torch.float64"):
        composite_i420(photo, crop.double(), matte, to_crop)
