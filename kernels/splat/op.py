import torch
from torch import Tensor

from kernels.contract import FLOATS, Impl, check_dtype, check_layout, takes_triton
from kernels.errors import ShapeError
from kernels.splat.reference import splat_reference


def splat(position: Tensor, values: Tensor, height: int, width: int, *, impl: Impl = "auto") -> Tensor:
    """Add the values of points to the four nearest cells of a grid, in bilinear shares.

    The transpose of bilinear sampling: what a point at a cell's centre carries goes to that cell alone, and what falls
    outside the grid is dropped. Splat a channel of ones beside weighted values to normalise.

    Args:
        position: Where the points are, [B, N, 2], float, (x, y) in cells; integers are cell centres.
        values: What they carry, [B, C, N], float.
        height: Rows of the grid.
        width: Columns of the grid.
        impl: "auto" takes Triton on CUDA tensors and the reference elsewhere. The kernel adds in float32, in no fixed
            order: the last digits differ from run to run.

    Returns:
        Sums, [B, C, height, width], in the type of `values`. Inputs are not modified.

    Raises:
        ShapeError: If `position` and `values` disagree about B or N.
        LayoutError: If a tensor is not contiguous, or devices differ.
        DtypeError: If the kernel is to run on other types than float32, float16 and bfloat16.
        TritonUnavailableError: If Triton is wanted and cannot run.

    Source:
        Westover, "Footprint evaluation for volume rendering", SIGGRAPH 1990, with the bilinear kernel.
    """
    if position.shape != (values.shape[0], values.shape[2], 2):
        raise ShapeError(f"positions {tuple(position.shape)}", f"[{values.shape[0]}, {values.shape[2]}, 2]")
    check_layout(position=position, values=values)
    if takes_triton(impl, values):
        check_dtype(FLOATS, position=position, values=values)
        return _splat(position, values, height, width)
    return splat_reference(position, values, height, width)


@torch.library.custom_op("visavis::splat", mutates_args=())
def _splat(position: Tensor, values: Tensor, height: int, width: int) -> Tensor:
    from kernels.splat.kernel import launch

    return launch(position, values, height, width)


@_splat.register_fake
def _(position: Tensor, values: Tensor, height: int, width: int) -> Tensor:
    return values.new_empty(values.shape[0], values.shape[1], height, width)
