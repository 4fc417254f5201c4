"""Fixed tensors that every device has its own copy of."""

import torch
from torch import Tensor


class Constant:
    """A fixed tensor, copied to each device and type once.

    A frame must not wait for a copy from the host, and a CUDA graph cannot hold one.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor
        self._copies: dict[tuple[torch.device, torch.dtype], Tensor] = {(tensor.device, tensor.dtype): tensor}

    def like(self, other: Tensor) -> Tensor:
        """The values on the device and in the type of `other`."""
        key = other.device, other.dtype
        if key not in self._copies:
            self._copies[key] = self._tensor.to(other)
        return self._copies[key]
