"""How sharp a picture looks by itself: CPBD, the share of its edges whose blur nobody notices."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.meter import Picture
from benchmarks.quality.similarity import luma

BLOCK_PX: Final = 64
_EDGE_SHARE: Final = 0.002
_BETA: Final = 3.6
_SEEN: Final = 0.63
"""Probability at which a blur is just noticeable."""
_HIGH_CONTRAST: Final = 50.0
_JUST_SEEN_PX: Final = (5.0, 3.0)
"""Width of an edge whose blur is just noticeable, in blocks of low and of high contrast."""


def cpbd(picture: Picture) -> float | None:
    """Share of the edges whose blur is probably not noticed, 0 to 1; higher is sharper.

    Blocks count whose edges are at least 0.2 % of their pixels. Edges are those of Sobel's filter across the rows,
    thinned, where its square is above four times its mean; the publication finds edge blocks by Canny's.

    Args:
        picture: RGB, [H, W, 3], uint8, at least 64 px a side; what is beyond whole blocks of 64 px is left out.

    Returns:
        None for a picture without edges.

    Source:
        Narvekar and Karam, "A No-Reference Image Blur Metric Based on the Cumulative Probability of Blur Detection
        (CPBD)", IEEE Transactions on Image Processing 20(9), 2011, equations 1 to 4; widths of edges after Marziliano
        et al., "A no-reference perceptual blur metric", ICIP 2002.
    """
    grey = luma(picture)
    widths = edge_widths(grey)
    blurred: list[NDArray[np.float64]] = []
    for y in range(0, grey.shape[0] - BLOCK_PX + 1, BLOCK_PX):
        for x in range(0, grey.shape[1] - BLOCK_PX + 1, BLOCK_PX):
            block = slice(y, y + BLOCK_PX), slice(x, x + BLOCK_PX)
            found = widths[block][widths[block] > 0]
            if len(found) > _EDGE_SHARE * BLOCK_PX**2:
                just_seen = _JUST_SEEN_PX[int(np.ptp(grey[block]) > _HIGH_CONTRAST)]
                blurred.append(1 - np.exp(-((found / just_seen) ** _BETA)))
    return float((np.concatenate(blurred) <= _SEEN).mean()) if blurred else None


def edge_widths(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many pixels each edge takes along its row, from extreme to extreme, [H, W]; 0 where there is none."""
    slope = _sobel(grey)
    strength = slope**2
    before, after = np.roll(strength, 1, axis=1), np.roll(strength, -1, axis=1)
    edges = (strength > 4 * strength.mean()) & (strength > before) & (strength >= after)
    widths = np.zeros_like(grey)
    for y, x in np.argwhere(edges).tolist():
        rising = grey[y] if slope[y, x] > 0 else -grey[y]
        widths[y, x] = _climb(rising, x, 1) + _climb(rising, x, -1)
    return widths


def _climb(rising: NDArray[np.float64], start: int, way: int) -> int:
    """Steps from a pixel of a slope to its upper (way 1) or lower (way -1) end."""
    at = start
    while 0 <= at + way < len(rising) and way * (rising[at + way] - rising[at]) > 0:
        at += way
    return abs(at - start)


def _sobel(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """The slope along rows, [H, W]; 0 at the border."""
    across = grey[:, 2:] - grey[:, :-2]
    out = np.zeros_like(grey)
    out[1:-1, 1:-1] = across[:-2] + 2 * across[1:-1] + across[2:]
    return out
