# pyright: basic, reportArgumentType=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's parameters are typed as what the compiled code sees, not as what the caller hands over.
import torch
import triton
import triton.language as tl
from torch import Tensor

_POINTS = 128


def launch(position: Tensor, values: Tensor, height: int, width: int) -> Tensor:
    """`splat` of checked tensors."""
    batch, channels, points = values.shape
    sums = values.new_zeros(batch, channels, height, width, dtype=torch.float32)
    grid = (triton.cdiv(points, _POINTS), batch)
    with torch.cuda.device_of(values):
        _splat_kernel[grid](position, values, sums, points, height, width, CHANNELS=channels, POINTS=_POINTS)
    return sums.to(values.dtype)


@triton.jit
def _splat_kernel(
    position_ptr, values_ptr, sums_ptr, points, height, width, CHANNELS: tl.constexpr, POINTS: tl.constexpr
):
    row = tl.program_id(1).to(tl.int64)  # of the batch; addresses may pass 32 bits
    point = tl.program_id(0) * POINTS + tl.arange(0, POINTS)
    live = point < points
    x = tl.load(position_ptr + (row * points + point) * 2, mask=live, other=0.0).to(tl.float32)
    y = tl.load(position_ptr + (row * points + point) * 2 + 1, mask=live, other=0.0).to(tl.float32)
    # what is farther than one cell gives nothing, and may not fit an integer
    near = live & (x > -1.0) & (x < width) & (y > -1.0) & (y < height)
    x = tl.where(near, x, 0.0)
    y = tl.where(near, y, 0.0)
    low_x = tl.floor(x)
    low_y = tl.floor(y)
    plane = height * width
    for dx in tl.static_range(2):
        for dy in tl.static_range(2):
            share_x = x - low_x if dx == 1 else low_x + 1.0 - x
            share_y = y - low_y if dy == 1 else low_y + 1.0 - y
            cell_x = low_x.to(tl.int32) + dx
            cell_y = low_y.to(tl.int32) + dy
            hit = near & (cell_x >= 0) & (cell_x < width) & (cell_y >= 0) & (cell_y < height)
            for channel in tl.static_range(CHANNELS):
                image = row * CHANNELS + channel
                value = tl.load(values_ptr + image * points + point, mask=hit, other=0.0).to(tl.float32)
                at = image * plane + cell_y * width + cell_x
                tl.atomic_add(sums_ptr + at, value * (share_x * share_y), mask=hit, sem="relaxed")
