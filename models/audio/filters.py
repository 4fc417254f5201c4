"""Triangular filters over the bins of a Fourier transform, and the mel scales that space them."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def triangles(bins: Array, edges: Array) -> Array:
    """Filters of peak 1, each rising from one edge to the next and falling to the one after.

    Args:
        bins: Where the transform's bins lie, [K], in Hz or on any other scale.
        edges: Rising, [bands + 2], on the same scale.

    Returns:
        Weights, [K, bands], 0 to 1.
    """
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - low) / (centre - low)
    falling = (high - bins[:, None]) / (high - centre)
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float64)


def bins_hz(fft_samples: int, rate_hz: int) -> Array:
    """Frequencies of the bins of a real transform, [fft_samples / 2 + 1]."""
    return np.arange(fft_samples // 2 + 1, dtype=np.float64) * (rate_hz / fft_samples)


def htk_mel(hz: Array) -> Array:
    """Mel scale of HTK and Kaldi: `1127 ln(1 + hz / 700)`."""
    return 1127.0 * np.log1p(hz / 700.0)


def htk_hz(mel: Array) -> Array:
    """Inverse of `htk_mel`."""
    return 700.0 * np.expm1(mel / 1127.0)


def slaney_mel(hz: Array) -> Array:
    """Mel scale of Slaney's Auditory Toolbox (1998), librosa's default: linear to 1 kHz, then 27 steps a factor 6.4."""
    above = 15.0 + 27.0 * np.log(np.maximum(hz, 1000.0) / 1000.0) / np.log(6.4)
    return np.where(hz < 1000.0, hz * 3.0 / 200.0, above)


def slaney_hz(mel: Array) -> Array:
    """Inverse of `slaney_mel`."""
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * 6.4 ** ((mel - 15.0) / 27.0))


def slaney_filters(fft_samples: int, rate_hz: int, bands: int, low_hz: float, high_hz: float) -> Array:
    """Triangles of equal area in Hz, evenly spaced on Slaney's scale, [fft_samples / 2 + 1, bands].

    The matrix that `librosa.filters.mel` gives by default, transposed.
    """
    low, high = slaney_mel(np.array([low_hz, high_hz]))
    edges_hz = slaney_hz(np.linspace(low, high, bands + 2))
    return triangles(bins_hz(fft_samples, rate_hz), edges_hz) * (2.0 / (edges_hz[2:] - edges_hz[:-2]))
