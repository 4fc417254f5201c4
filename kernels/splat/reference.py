import torch
from torch import Tensor


def splat_reference(position: Tensor, values: Tensor, height: int, width: int) -> Tensor:
    """Slow, obvious version of `splat`; same contract, any device."""
    batch, channels = values.shape[0], values.shape[1]
    low = position.floor()
    fraction = position - low
    corner_x, corner_y = low[..., 0].long(), low[..., 1].long()  # [B, N]
    rows = torch.arange(batch, device=values.device)[:, None] * (height * width)
    out = values.new_zeros(channels, batch * height * width)
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = corner_x + dx, corner_y + dy
            share_x = fraction[..., 0] if dx else 1.0 - fraction[..., 0]
            share_y = fraction[..., 1] if dy else 1.0 - fraction[..., 1]
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            share = share_x * share_y * inside  # [B, N]
            cell = rows + y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
            part = (values * share[:, None]).transpose(0, 1).reshape(channels, -1)
            out.index_add_(1, cell.reshape(-1), part)
    return out.view(channels, batch, height, width).transpose(0, 1)
