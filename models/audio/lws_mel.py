"""`lws_mel80`, the front end of PC-AVS: 80 mel bands of an 80 ms window every 10 ms, as the `lws` package frames them.

Causal: row m sees samples 160 m - 1120 to 160 m + 159.
"""

import math
from typing import Final

import torch
from torch import Tensor

from models.audio.filters import slaney_filters
from models.audio.front_end import FrontEnd, Plan
from models.audio.level import Level, RunningRms
from models.audio.loudness import loudness
from models.system import SAMPLE_RATE_HZ

PLAN: Final = Plan(
    name="lws_mel80",
    bands=80,
    window_samples=1280,
    hop_samples=160,
    lead_samples=1120,
    trail_samples=1279,  # a recording of n samples has ceil(n / 160) + 7 rows
    frame_rows=20,
    frames_back=2,
    silence=0.0,
    before=0.0,
)
LOW_HZ: Final = 125.0
HIGH_HZ: Final = 7600.0


class LwsMel80(FrontEnd):
    """Slaney-mel loudness, 0 to 1; a frame gets [20, 80], row = time (the published network reads its transpose).

    Level policy: PC-AVS brings the whole clip to an RMS of 0.1, which a stream cannot; `running_rms` does so with the
    voice heard so far. Give `FixedGain(clip_gain(samples))` for the published numbers. Rows before the stream are 0.

    Source:
        PC-AVS, `config/AudioConfig.py` and `data/voxtest_dataset.py`; `lws.lws(1280, 160, mode="speech").stft`.
    """

    half_sine: Tensor
    filters: Tensor

    def __init__(self, level: Level | None = None) -> None:
        """Set the level policy, `RunningRms` if none is given."""
        super().__init__(PLAN, level or RunningRms(PLAN.hop_samples / SAMPLE_RATE_HZ))
        phase = (torch.arange(PLAN.window_samples, dtype=torch.float64) + 0.5) / PLAN.window_samples
        bank = slaney_filters(PLAN.window_samples, SAMPLE_RATE_HZ, PLAN.bands, LOW_HZ, HIGH_HZ)
        self.register_buffer("half_sine", 0.5 * torch.sin(math.pi * phase), persistent=False)
        self.register_buffer("filters", torch.from_numpy(bank), persistent=False)

    def features(self, windows: Tensor) -> Tensor:
        return loudness(torch.fft.rfft(windows * self.half_sine).abs() @ self.filters)
