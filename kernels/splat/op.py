from torch import Tensor

from kernels.errors import ShapeError
from kernels.splat.reference import splat_reference


def splat(position: Tensor, values: Tensor, height: int, width: int) -> Tensor:
    """Add the values of points to the four nearest cells of a grid, in bilinear shares.

    The transpose of bilinear sampling: what a point at a cell's centre carries goes to that cell alone, and what falls
    outside the grid is dropped. Splat a channel of ones beside weighted values to normalise.

    Args:
        position: Where the points are, [B, N, 2], float, (x, y) in cells; integers are cell centres.
        values: What they carry, [B, C, N], float.
        height: Rows of the grid.
        width: Columns of the grid.

    Returns:
        Sums, [B, C, height, width], in the type of `values`. Inputs are not modified.

    Raises:
        ShapeError: If `position` and `values` disagree about B or N.

    Source:
        Westover, "Footprint evaluation for volume rendering", SIGGRAPH 1990, with the bilinear kernel.
    """
    if position.shape != (values.shape[0], values.shape[2], 2):
        raise ShapeError(f"positions {tuple(position.shape)}", f"[{values.shape[0]}, {values.shape[2]}, 2]")
    return splat_reference(position, values, height, width)
