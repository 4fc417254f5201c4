"""What one would write without our kernels: the same maths from torch's own operators, in the type of the input."""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

_EPSILON: Final = 1e-8
_SLOPE: Final = 0.2
_GAIN: Final = math.sqrt(2.0)


def modulated_eager(x: Tensor, style: Tensor, weight: Tensor, bias: Tensor, noise: Tensor, *, up: bool) -> Tensor:
    """`kernels.modulated_conv` by scaled activations: no weights per sample, five operators in a row."""
    out = x * style.to(x.dtype)[:, :, None, None]
    out = _up(out, weight.transpose(0, 1)) if up else F.conv2d(out, weight, padding=weight.shape[-1] // 2)
    power = style.square() @ weight.float().square().sum((2, 3)).T
    out = out * torch.rsqrt(power + _EPSILON).to(x.dtype)[:, :, None, None]
    return F.leaky_relu(out + noise + bias.to(x.dtype)[:, None, None], _SLOPE) * _GAIN


def modulated_grouped(x: Tensor, style: Tensor, weight: Tensor, bias: Tensor, noise: Tensor, *, up: bool) -> Tensor:
    """The same as StyleGAN2's own code does it: weights per sample, one convolution with a group per sample."""
    batch, ins, height, width = x.shape
    own = weight.float() * style[:, None, :, None, None]  # [B, C_out, C_in, K, K]
    own = (own * torch.rsqrt(own.square().sum((2, 3, 4), keepdim=True) + _EPSILON)).to(x.dtype)
    grouped = x.reshape(1, batch * ins, height, width)
    if up:
        out = _up(grouped, own.transpose(1, 2).flatten(0, 1), batch)
    else:
        out = F.conv2d(grouped, own.flatten(0, 1), padding=weight.shape[-1] // 2, groups=batch)
    out = out.unflatten(1, (batch, -1))[0]
    return F.leaky_relu(out + noise + bias.to(x.dtype)[:, None, None], _SLOPE) * _GAIN


def log_mel_stft(
    ring: Tensor, end: Tensor, window: Tensor, filters: Tensor, fft_samples: int, hop_samples: int, hops: int
) -> Tensor:
    """Mel power of the newest rows by torch.stft, [S, hops, bands], once each ring is unrolled."""
    length = len(window) + (hops - 1) * hop_samples
    newest = (end[:, None] + torch.arange(-length, 0, device=ring.device)) % ring.shape[1]
    spare = (fft_samples - len(window)) // 2  # torch.stft puts a short window into the middle of its frame
    sound = F.pad(ring.gather(1, newest), (spare, fft_samples - len(window) - spare))
    spectrum = torch.stft(
        sound, fft_samples, hop_samples, len(window), window, center=False, onesided=True, return_complex=True
    )
    return spectrum.abs().square().transpose(1, 2) @ filters


def _up(x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    """Transposed convolution of stride 2 and the filter (1, 3, 3, 1)."""
    spread = F.conv_transpose2d(x, weight, stride=2, groups=groups)
    taps = 0.75 - 0.5 * (torch.arange(4, device=x.device) % 3 == 0).to(x.dtype)  # no copy from the host in a capture
    kernel = torch.outer(taps, taps).expand(spread.shape[1], 1, 4, 4)
    return F.conv2d(spread, kernel, padding=1, groups=spread.shape[1])
