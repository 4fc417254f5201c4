"""Log-mel rows as Kaldi computes them: the sound that EquiAV's audio encoder sees.

Kaldi's feature-fbank with 128 bins, Hann window, no dither, no energy column (specification 4.2). Kaldi takes the mean
out of every window, so the clip mean that EquiAV subtracts first changes nothing and is left out.
"""

import math
from typing import Final

import torch
from torch import Tensor

from models.system import SAMPLE_RATE_HZ

BANDS: Final = 128
WINDOW_SAMPLES: Final = 400
HOP_SAMPLES: Final = 160
FFT_SAMPLES: Final = 512
LOW_HZ: Final = 20.0
HIGH_HZ: Final = SAMPLE_RATE_HZ / 2
PRE_EMPHASIS: Final = 0.97
FLOOR_POWER: Final = torch.finfo(torch.float32).eps


def mel_filters() -> Tensor:
    """Triangles that are straight on the mel axis 1127 ln(1 + f / 700), peak 1, [257, 128]."""
    low, high = (1127.0 * math.log1p(hz / 700.0) for hz in (LOW_HZ, HIGH_HZ))
    edges = torch.linspace(low, high, BANDS + 2, dtype=torch.float64)
    bins_hz = torch.arange(FFT_SAMPLES // 2 + 1, dtype=torch.float64) * (SAMPLE_RATE_HZ / FFT_SAMPLES)
    bins = 1127.0 * torch.log1p(bins_hz / 700.0)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp_min(0.0).float()


def fbank(samples: Tensor) -> Tensor:
    """Natural log of band power of every whole window.

    Args:
        samples: Mono sound at 16 kHz, [N], float, full scale -1 to 1.

    Returns:
        [1 + (N - 400) // 160, 128], float32, at least ln(1.19e-7) = -15.94; no rows if N < 400.

    Source:
        Povey et al., "The Kaldi speech recognition toolkit", ASRU 2011; specification 4.2.
    """
    if len(samples) < WINDOW_SAMPLES:
        return samples.new_zeros(0, BANDS)
    windows = samples.float().unfold(0, WINDOW_SAMPLES, HOP_SAMPLES)
    windows = windows - windows.mean(1, keepdim=True)
    before = torch.cat([windows[:, :1], windows[:, :-1]], 1)
    shaped = (windows - PRE_EMPHASIS * before) * torch.hann_window(WINDOW_SAMPLES, periodic=False)
    power = torch.fft.rfft(shaped, FFT_SAMPLES).abs().square()
    return (power @ _FILTERS).clamp_min(FLOOR_POWER).log()


_FILTERS: Final = mel_filters()
