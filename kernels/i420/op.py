from typing import Final

import torch
from torch import Tensor

from kernels.errors import ShapeError

# rows: Y, U, V; columns: R, G, B in -1..1, then the offset, to which the half of rounding is added
_MATRIX: Final = (
    (0.299 * 109.5, 0.587 * 109.5, 0.114 * 109.5, 16 + 109.5),
    (-0.299 * 56 / 0.886, -0.587 * 56 / 0.886, 56.0, 128.0),
    (56.0, -0.587 * 56 / 0.701, -0.114 * 56 / 0.701, 128.0),
)


def rgb_to_i420(rgb: Tensor) -> Tensor:
    """Convert frames to planar YUV 4:2:0, BT.601 limited range, rounded half up.

    Y is 16 to 235, U and V are 16 to 240. A chroma sample is the mean of its 2 x 2 pixels, so it lies in their middle:
    the siting of MPEG-1 and JPEG, which VP8 in WebRTC uses.

    Args:
        rgb: Frames, [B, 3, H, W], float, -1 (black) to 1 (white), clamped; H and W even.

    Returns:
        [B, H * 3 / 2, W], uint8: H rows of Y, then U and V, each H / 2 x W / 2, packed row after row: PyAV's
        `VideoFrame.from_ndarray(..., "yuv420p")`. The input is not modified.

    Raises:
        ShapeError: If there are not three channels, or a side is odd.

    Source:
        ITU-R BT.601-7, sections 2.5.1 to 2.5.3.
    """
    if rgb.dim() != 4 or rgb.shape[1] != 3 or rgb.shape[2] % 2 or rgb.shape[3] % 2:
        raise ShapeError(f"pixels {tuple(rgb.shape)}", "[B, 3, H, W] with even H and W")
    batch, _, height, width = rgb.shape
    matrix = torch.tensor(_MATRIX, dtype=torch.float32, device=rgb.device)
    full = rgb.float().clamp(-1, 1)
    rows = full[:, :, ::2] + full[:, :, 1::2]
    quads = rows[..., ::2] + rows[..., 1::2]  # the conversion is linear, so sums may be taken first
    out = rgb.new_empty((batch, height * width * 3 // 2), dtype=torch.uint8)
    y = torch.baddbmm(matrix[:1, 3:] + 0.5, matrix[:1, :3].expand(batch, 1, 3), full.flatten(2))
    uv = torch.baddbmm(matrix[1:, 3:] + 0.5, matrix[1:, :3].expand(batch, 2, 3) / 4, quads.flatten(2))
    out[:, : height * width] = y.view(batch, -1)  # to uint8 by truncation, and all values are positive
    out[:, height * width :] = uv.reshape(batch, -1)
    return out.view(batch, height * 3 // 2, width)
