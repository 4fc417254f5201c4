import pytest
import torch

from kernels.contract import check_dtype, check_layout, check_shape, takes_triton
from kernels.errors import DtypeError, LayoutError, ShapeError, TritonUnavailableError


def test_cpu_tensors_take_the_reference_unless_asked(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert not takes_triton("auto", torch.zeros(1))
    assert not takes_triton("reference", torch.zeros(1))
    assert takes_triton("triton", torch.zeros(1))


def test_triton_on_the_cpu_without_its_interpreter_is_refused(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(TritonUnavailableError, match=r"tensors are on cpu: move them .* TRITON_INTERPRET=1"):
        takes_triton("triton", torch.zeros(1))


def test_a_missing_triton_is_said(monkeypatch):
    monkeypatch.setattr("kernels.contract.INSTALLED", False)
    with pytest.raises(TritonUnavailableError, match="not installed: pip install"):
        takes_triton("triton", torch.zeros(1))


@pytest.mark.parametrize("shape", [(2, 3), (2, 4, 5), (2, 3, 0)])
def test_a_shape_that_does_not_fit_is_refused(shape):
    with pytest.raises(ShapeError, match=r"got thing \[.*\], want \[B, 3, N\]"):
        check_shape("thing", torch.zeros(shape), ("B", 3, "N"))


def test_a_shape_that_fits_passes():
    check_shape("thing", torch.zeros(2, 3, 1), ("B", 3, "N"))


def test_a_strided_tensor_is_refused():
    with pytest.raises(LayoutError, match=r"got thing with strides \(1, 2\), want .* \.contiguous\(\)"):
        check_layout(other=torch.zeros(2), thing=torch.zeros(3, 2).T)


def test_tensors_on_two_devices_are_refused():
    with pytest.raises(LayoutError, match="got thing on meta, want all tensors on cpu"):
        check_layout(other=torch.zeros(2), thing=torch.zeros(2, device="meta"))


def test_another_type_is_refused():
    with pytest.raises(DtypeError, match=r"got thing of torch.int64, want torch.float32"):
        check_dtype([torch.float32], thing=torch.zeros(2, dtype=torch.int64))
