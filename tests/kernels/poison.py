import torch
from torch import Tensor

_GAP = 1024


def poisoned(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy on the device with NaN (255 for bytes) before and behind it: a kernel that reads beyond it shows."""
    filler = torch.nan if tensor.is_floating_point() else 255 if tensor.dtype == torch.uint8 else -(2**31)
    memory = torch.full((tensor.numel() + 2 * _GAP,), filler, dtype=tensor.dtype, device=device)
    inner = memory[_GAP : _GAP + tensor.numel()].view(tensor.shape)
    return inner.copy_(tensor)
