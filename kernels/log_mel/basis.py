import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from kernels.contract import check_shape

BANDS_PER_BLOCK: Final = 16


@dataclass(frozen=True)
class MelBasis:
    """The constants of one front end, on one device.

    Attributes:
        window: Analysis window, [W], float32.
        filters: Mel filters, [F / 2 + 1, bands], float32.
        fourier: Cosines and sines of the F-point transform times the window, [2, W, F / 2 + 1], float32.
        spans: First bin, and the one behind the last, that each block of 16 bands hears, [ceil(bands / 16), 2], int32.
        widest: How many bins the block that hears most of them hears.
        fft_samples: F, length of the transform; what the window does not fill is 0.
    """

    window: Tensor
    filters: Tensor
    fourier: Tensor
    spans: Tensor
    widest: int
    fft_samples: int


def mel_basis(window: Tensor, filters: Tensor, fft_samples: int) -> MelBasis:
    """Work out what `log_mel` needs of a front end, once.

    Args:
        window: Analysis window, [W], float, W at most `fft_samples`.
        filters: Mel filters, [fft_samples / 2 + 1, bands], float, on the device of `window`.
        fft_samples: Length of the transform, even.

    Raises:
        ShapeError: If the sizes do not fit each other.
    """
    check_shape("filters", filters, (fft_samples // 2 + 1, "bands"))
    check_shape("window", window, (min(window.shape[0], fft_samples),))
    # the phase is reduced in integers: a float32 angle of many turns would be wrong in the fifth digit
    turns = torch.outer(torch.arange(len(window)), torch.arange(len(filters))) % fft_samples
    phase = turns.double() * (2 * math.pi / fft_samples)
    waves = torch.stack([phase.cos(), phase.sin()]).to(window.device)
    heard = [(block != 0).any(dim=1).nonzero() for block in filters.split(BANDS_PER_BLOCK, dim=1)]
    spans = [(int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 0) for bins in heard]
    return MelBasis(
        window.float(),
        filters.float().contiguous(),
        (waves * window.double()[:, None]).float(),
        torch.tensor(spans, dtype=torch.int32, device=filters.device),
        max(end - first for first, end in spans),
        fft_samples,
    )
