"""What every operator checks before it computes, and the choice between its two forms.

On CUDA tensors a public function calls an opaque `torch.library` operator that launches its Triton kernel and has a
fake kernel, so that torch.compile, torch.export and CUDA graphs accept it. Elsewhere it runs its reference, plain
tensor code, so that tracing, OpenVINO and the compiler see through it.
"""

import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final, Literal

import torch
from torch import Tensor

from kernels.errors import DtypeError, LayoutError, ShapeError, TritonUnavailableError

Impl = Literal["auto", "reference", "triton"]
"""Which form runs: "auto" takes Triton on CUDA tensors and the reference elsewhere."""

INSTALLED: Final = find_spec("triton") is not None
FLOATS: Final = (torch.float32, torch.float16, torch.bfloat16)


def takes_triton(impl: Impl, tensor: Tensor) -> bool:
    """Whether the Triton kernel is to run on this tensor.

    Raises:
        TritonUnavailableError: If it is wanted and cannot run: there is no fall back to slower code unasked.
    """
    if impl == "reference" or (impl == "auto" and not tensor.is_cuda):
        return False
    if not INSTALLED:
        raise TritonUnavailableError("Triton is not installed: pip install 'visavis[gpu]', or ask for impl='reference'")
    if not tensor.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        raise TritonUnavailableError(
            f"the tensors are on {tensor.device}: move them to a CUDA device, ask for impl='reference', or set "
            "TRITON_INTERPRET=1 before Python starts to run the interpreter"
        )
    return True


def check_shape(name: str, tensor: Tensor, want: Sequence[int | str]) -> None:
    """Compare a shape with what it must be; a letter stands for any size of at least 1.

    Raises:
        ShapeError: If they differ.
    """
    fits = tensor.dim() == len(want) and all(
        size >= 1 if isinstance(wanted, str) else size == wanted
        for size, wanted in zip(tensor.shape, want, strict=True)
    )
    if not fits:
        raise ShapeError(f"{name} {list(tensor.shape)}", f"[{', '.join(map(str, want))}]")


def check_layout(**tensors: Tensor) -> None:
    """All on the device of the first, none with gaps.

    Raises:
        LayoutError: If one is not.
    """
    device = next(iter(tensors.values())).device
    for name, tensor in tensors.items():
        if not tensor.is_contiguous():
            raise LayoutError(f"{name} with strides {tensor.stride()}", "a contiguous tensor: call .contiguous() on it")
        if tensor.device != device:
            raise LayoutError(f"{name} on {tensor.device}", f"all tensors on {device}")


def check_dtype(dtypes: Sequence[torch.dtype], **tensors: Tensor) -> None:
    """Each of one of the given types.

    Raises:
        DtypeError: If one is not.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in dtypes:
            raise DtypeError(f"{name} of {tensor.dtype}", " or ".join(map(str, dtypes)))
