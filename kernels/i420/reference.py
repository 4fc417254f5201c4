import torch
from torch import Tensor

RED, GREEN, BLUE = 0.299, 0.587, 0.114


def rgb_to_i420_reference(rgb: Tensor) -> Tensor:
    """Slow, obvious version of `rgb_to_i420`; same contract, any device. In float32, or float64 if given."""
    batch, _, height, width = rgb.shape
    full = rgb.to(torch.promote_types(rgb.dtype, torch.float32))
    red, green, blue = ((full.clamp(-1, 1) + 1) / 2).unbind(1)  # [B, H, W], 0 to 1
    luma = RED * red + GREEN * green + BLUE * blue
    y = 16 + 219 * luma
    u = 128 + 224 * (blue - luma) / (2 * (1 - BLUE))
    v = 128 + 224 * (red - luma) / (2 * (1 - RED))
    planes = [y.flatten(1)]
    for chroma in (u, v):
        # a chroma sample lies in the middle of its four pixels
        quads = chroma.view(batch, height // 2, 2, width // 2, 2)
        planes.append(quads.mean(dim=(2, 4)).flatten(1))
    return torch.floor(torch.cat(planes, dim=1) + 0.5).to(torch.uint8).view(batch, height * 3 // 2, width)
