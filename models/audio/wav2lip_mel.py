"""`wav2lip_mel80`, the front end of Wav2Lip that FC-TFG and TAVCE use: 80 mel bands every 12.5 ms, centred windows.

Row k sees samples 200 k - 400 to 200 k + 399. Before the first and after the last sample lies digital silence, as in
librosa since 0.9; older versions reflect the sound there, which changes rows 0 and 1 of a clip and its last two.
"""

from typing import Final

import torch
from torch import Tensor, nn

from models.audio.filters import slaney_filters
from models.audio.front_end import FrontEnd, Plan
from models.audio.level import FixedGain
from models.audio.loudness import loudness
from models.system import SAMPLE_RATE_HZ

FFT_SAMPLES: Final = 800
MAX_ABS: Final = 4.0
PLAN: Final = Plan(
    name="wav2lip_mel80",
    bands=80,
    window_samples=FFT_SAMPLES + 1,  # and the sample before
    hop_samples=200,
    lead_samples=FFT_SAMPLES // 2 + 1,
    trail_samples=FFT_SAMPLES // 2,
    frame_rows=16,
    frames_back=2,
    silence=-MAX_ABS,
    before=-MAX_ABS,
    repeats_first=True,
)
PRE_EMPHASIS: Final = 0.97
LOW_HZ: Final = 55.0
HIGH_HZ: Final = 7600.0


class Wav2LipMel80(FrontEnd):
    """Slaney-mel loudness of pre-emphasised sound, -4 to 4; a frame gets [16, 80], row = time.

    The published networks read the transpose. Level policy `fixed`, factor 1. Row 0 stands in for rows before the
    stream, as published; the end of a recording is followed by silence, where the publication repeats the last row.

    Source:
        Wav2Lip and SadTalker, `audio.py`, `hparams.py`; SadTalker and TAVCE, `src/generate_batch.py`.
    """

    hann: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__(PLAN, FixedGain())
        bank = slaney_filters(FFT_SAMPLES, SAMPLE_RATE_HZ, PLAN.bands, LOW_HZ, HIGH_HZ)
        self.register_buffer("hann", torch.hann_window(FFT_SAMPLES, dtype=torch.float64), persistent=False)
        self.register_buffer("filters", torch.from_numpy(bank), persistent=False)

    def ending(self, samples: Tensor) -> Tensor:
        # the publication pads after pre-emphasis: this is the sound that pre-emphasis turns into silence
        last = nn.functional.pad(samples, (1, 0))[:, -1:]
        return last * PRE_EMPHASIS ** torch.arange(1, PLAN.trail_samples + 1, device=samples.device)

    def features(self, windows: Tensor) -> Tensor:
        emphasised = windows[..., 1:] - PRE_EMPHASIS * windows[..., :-1]
        magnitude = torch.fft.rfft(emphasised * self.hann).abs()
        return 2.0 * MAX_ABS * loudness(magnitude @ self.filters) - MAX_ABS
