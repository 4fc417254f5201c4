"""`mfcc12`, the front end of DAVS: twelve liftered cepstra every 10 ms.

The publication takes the logarithm of whatever the filters give, which is minus infinity in digital silence. Here the
filters' output is floored at 1, the floor that the original has in a comment: a row of digital silence is 0.
"""

import math
from typing import Final

import numpy as np
import torch
from torch import Tensor

from models.audio.filters import bins_hz, htk_hz, htk_mel, triangles
from models.audio.front_end import FrontEnd, Plan
from models.audio.level import FixedGain
from models.system import SAMPLE_RATE_HZ

PLAN: Final = Plan(
    name="mfcc12",
    bands=12,
    window_samples=401,  # 25 ms and the sample before
    hop_samples=160,
    lead_samples=1,
    trail_samples=0,
    frame_rows=20,
    frames_back=2,
    silence=0.0,
    before=0.0,
)
PRE_EMPHASIS: Final = 0.97
FFT_SAMPLES: Final = 512
FILTERS: Final = 13
LOW_HZ: Final = 300.0
HIGH_HZ: Final = 3700.0
FLOOR: Final = 1.0
LIFTER: Final = 22
FULL_SCALE: Final = 2.0**15


class Mfcc12(FrontEnd):
    """Cepstra 1 to 12 of the magnitude spectrum, HTK style; a frame gets [20, 12], row = time.

    Level policy `fixed`: the published scaling to 16-bit numbers, here whatever the clip's peak. Rows before the
    stream are 0; the publication begins with frame 2, which needs none. A stereo file counts by its left channel.

    Source:
        DAVS, `preprocess/savemfcc.m` and `mfcc.m` (K. Wojcicki's HTK MFCC).
    """

    hamming: Tensor
    filters: Tensor
    cepstra: Tensor

    def __init__(self) -> None:
        super().__init__(PLAN, FixedGain(FULL_SCALE))
        window = torch.hamming_window(400, periodic=False, alpha=0.54, beta=0.46, dtype=torch.float64)
        low, high = htk_mel(np.array([LOW_HZ, HIGH_HZ]))
        edges_hz = htk_hz(np.linspace(low, high, FILTERS + 2))
        bank = triangles(bins_hz(FFT_SAMPLES, SAMPLE_RATE_HZ), edges_hz)
        self.register_buffer("hamming", window, persistent=False)
        self.register_buffer("filters", torch.from_numpy(bank), persistent=False)
        self.register_buffer("cepstra", _liftered_cosines(), persistent=False)

    def features(self, windows: Tensor) -> Tensor:
        emphasised = windows[..., 1:] - PRE_EMPHASIS * windows[..., :-1]
        magnitude = torch.fft.rfft(emphasised * self.hamming, FFT_SAMPLES).abs()
        return (magnitude @ self.filters).clamp_min(FLOOR).log() @ self.cepstra


def _liftered_cosines() -> Tensor:
    """Cosine transform without its coefficient 0, times the sine lifter, [FILTERS, 12]."""
    n = torch.arange(1, FILTERS, dtype=torch.float64)
    m = torch.arange(FILTERS, dtype=torch.float64)[:, None] + 0.5
    cosines = math.sqrt(2.0 / FILTERS) * torch.cos(math.pi * n * m / FILTERS)
    return cosines * (1.0 + LIFTER / 2 * torch.sin(math.pi * n / LIFTER))
