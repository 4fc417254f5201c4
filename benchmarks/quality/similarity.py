"""How alike two pictures are, pixel by pixel: SSIM and PSNR."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.meter import Picture

LUMA: Final = (0.299, 0.587, 0.114)
WINDOW_PX: Final = 11
_SIGMA_PX: Final = 1.5
_C1: Final = (0.01 * 255.0) ** 2
_C2: Final = (0.03 * 255.0) ** 2


def luma(picture: Picture) -> NDArray[np.float64]:
    """Brightness [H, W] of an RGB picture [H, W, 3], levels 0 to 255."""
    return picture.astype(np.float64) @ LUMA


def ssim(picture: Picture, truth: Picture) -> float:
    """Mean structural similarity of brightness, -1 to 1, at every place where the whole window fits.

    Args:
        picture: RGB, [H, W, 3], uint8, at least 11 px a side.
        truth: The same shape; the answer does not depend on which is which.

    Source:
        Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity",
        IEEE Transactions on Image Processing 13(4), 2004, equations 13 to 17: Gaussian window of 11 x 11 px with a
        standard deviation of 1.5 px, K1 = 0.01, K2 = 0.03, L = 255.
    """
    x, y = luma(picture), luma(truth)
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    together = _blurred(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + _C1) * (2 * together + _C2)
    return float((alike / ((mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2))).mean())


def psnr_db(picture: Picture, truth: Picture) -> float:
    """Peak signal to noise over all channels, dB; 99 for equal pictures."""
    error = float(np.square(picture.astype(np.float64) - truth).mean())
    return min(99.0, float(10 * np.log10(255.0**2 / max(error, 1e-12))))


def _blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[H, W] to [H - 10, W - 10]."""
    away = np.arange(WINDOW_PX) - WINDOW_PX // 2
    window = np.exp(-0.5 * (away / _SIGMA_PX) ** 2)
    window /= window.sum()
    for axis in (0, 1):
        values = np.lib.stride_tricks.sliding_window_view(values, WINDOW_PX, axis=axis) @ window
    return values
