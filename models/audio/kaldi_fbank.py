"""`kaldi_fbank128`, the front end of EquiAV: Kaldi's log filter bank, 128 bands every 10 ms.

EquiAV subtracts the clip's mean from the samples. Kaldi subtracts each window's own mean, so the clip's mean cancels
and nothing is lost by leaving it out: the causal level policy is the window's mean.
"""

import math
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from models.audio.filters import bins_hz, htk_mel, triangles
from models.audio.front_end import FrontEnd, Plan
from models.audio.level import FixedGain
from models.system import SAMPLE_RATE_HZ

AUDIOSET: Final = (-4.346, 4.332)
VGGSOUND: Final = (-4.956, 4.486)
"""Mean and standard deviation of all log energies of a data set, by which rows are normalised."""
BANDS: Final = 128
CONTEXT_ROWS: Final = 1024
PRE_EMPHASIS: Final = 0.97
WINDOW_SAMPLES: Final = 400
FFT_SAMPLES: Final = 512
LOW_HZ: Final = 20.0
FLOOR: Final = 2.0**-23
"""Kaldi's floor of an energy: the step of a float32 at 1."""


class KaldiFbank128(FrontEnd):
    """Normalised log energies; a frame gets the newest [1024, 128] (10.24 s), row = time, with no look-ahead.

    Level policy `fixed`, factor 1, on samples of full scale 1. Rows before the stream are log energies of 0,
    normalised, as EquiAV fills up short clips.

    Source:
        EquiAV, `datasets/AudioVisual.py`, `_wav2fbank`: `torchaudio.compliance.kaldi.fbank(htk_compat=True,
        use_energy=False, window_type="hanning", num_mel_bins=128, dither=0, frame_shift=10)`.
    """

    hann: Tensor
    filters: Tensor

    def __init__(self, statistics: tuple[float, float] = AUDIOSET, *, context_rows: int = CONTEXT_ROWS) -> None:
        """Set what the network was trained with.

        Args:
            statistics: Mean and standard deviation of the log energies: `AUDIOSET` or `VGGSOUND`.
            context_rows: Rows that a frame gets: 1024 as published, fewer for short-window variants.
        """
        super().__init__(_plan(*statistics, context_rows), FixedGain())
        self.mean, self.deviation = statistics
        low, high = htk_mel(np.array([LOW_HZ, SAMPLE_RATE_HZ / 2]))
        edges_mel = np.linspace(low, high, BANDS + 2)
        bank = triangles(htk_mel(bins_hz(FFT_SAMPLES, SAMPLE_RATE_HZ)), edges_mel)  # straight in mel, not in Hz
        window = torch.hann_window(WINDOW_SAMPLES, periodic=False, dtype=torch.float64)
        self.register_buffer("hann", window, persistent=False)
        self.register_buffer("filters", torch.from_numpy(bank), persistent=False)

    def features(self, windows: Tensor) -> Tensor:
        centred = windows - windows.mean(dim=-1, keepdim=True)
        before = torch.cat([centred[..., :1], centred[..., :-1]], dim=-1)  # Kaldi repeats a window's first sample
        spectrum = torch.fft.rfft((centred - PRE_EMPHASIS * before) * self.hann, FFT_SAMPLES)
        energy = spectrum.abs().square() @ self.filters
        return (energy.clamp_min(FLOOR).log() - self.mean) / self.deviation

    def clip(self, samples: Tensor) -> Tensor:
        """The published input of whole clips: [B, n] to [B, context_rows, 128], cut or filled up at the end."""
        rows = self(samples)[:, : self.plan.frame_rows]
        return nn.functional.pad(rows, (0, 0, 0, self.plan.frame_rows - rows.shape[1]), value=self.plan.before)


def _plan(mean: float, deviation: float, context_rows: int) -> Plan:
    return Plan(
        name="kaldi_fbank128",
        bands=BANDS,
        window_samples=WINDOW_SAMPLES,
        hop_samples=160,
        lead_samples=0,
        trail_samples=0,
        frame_rows=context_rows,
        frames_back=None,
        silence=(math.log(FLOOR) - mean) / deviation,
        before=(0.0 - mean) / deviation,
    )
