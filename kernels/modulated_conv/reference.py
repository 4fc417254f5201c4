from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON: Final = 1e-8


def modulated_conv_reference(
    x: Tensor,
    style: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    noise: Tensor | None,
    demodulate: bool,
    up: bool,
    slope: float,
    gain: float,
) -> Tensor:
    """Slow, obvious version of `modulated_conv`; same contract, any device. In float32, or float64 if given."""
    work = torch.promote_types(x.dtype, torch.float32)
    style, weight = style.to(work), weight.to(work)
    out = x.to(work) * style[:, :, None, None]
    if up:
        out = _smooth(F.conv_transpose2d(out, weight.transpose(0, 1), stride=2))
    else:
        out = F.conv2d(out, weight, padding=weight.shape[-1] // 2)
    if demodulate:
        power = style.square() @ weight.square().sum((2, 3)).T  # [B, C_out]
        out = out * torch.rsqrt(power + EPSILON)[:, :, None, None]
    if noise is not None:
        out = out + noise.to(work)
    if bias is not None:
        out = out + bias.to(work)[:, None, None]
    return (F.leaky_relu(out, slope) * gain).to(x.dtype)


def _smooth(x: Tensor) -> Tensor:
    """Filter each channel along rows and columns, [B, C, H, W] to [B, C, H - 1, W - 1].

    Per axis (1, 3, 3, 1) over its sum, times 2 for the zeros between the samples.
    """
    fir = 0.75 - 0.5 * (torch.arange(4, device=x.device) % 3 == 0).to(x.dtype)
    kernel = torch.outer(fir, fir).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, padding=1, groups=x.shape[1])
