"""`log_mel80`: the streaming log-mel front end, 16 kHz sound in, one row of 80 bands every 10 ms out.

Causal: hop k (k = 0, 1, ...) sees the 400 samples that end at sample 160 * (k + 1), media time 10 * (k + 1) ms.
What lies before the first sample counts as digital silence. Nothing depends on the clip as a whole: floor and scale
are constants, so a row has the same value in a stream, in a file and in a training batch.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.audio.filters import bins_hz, triangles
from models.system import FRAME_MS, SAMPLE_RATE_HZ

BANDS: Final = 80
HOP_SAMPLES: Final = 160
HOP_MS: Final = 10
HOPS_PER_FRAME: Final = FRAME_MS // HOP_MS
WINDOW_SAMPLES: Final = 400
FFT_SAMPLES: Final = 1024
LOW_HZ: Final = 50.0
HIGH_HZ: Final = 7600.0
FLOOR_POWER: Final = 1e-9
"""Band power that becomes 0 in the output. A full-scale sine has a band power of about 1, so this is -90 dB."""
DECADES_PER_UNIT: Final = 4.0
"""One unit of output is a factor of 10**4 (40 dB) in power: speech lies at 0.5 to 2."""


def mel_filters() -> NDArray[np.float32]:
    """Triangular filters of peak 1, evenly spaced in 2595 log10(1 + f / 700), [FFT_SAMPLES / 2 + 1, BANDS]."""
    edges_mel = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), BANDS + 2)
    edges_hz = 700.0 * (10.0 ** (edges_mel / 2595.0) - 1.0)
    return triangles(bins_hz(FFT_SAMPLES, SAMPLE_RATE_HZ), edges_hz).astype(np.float32)


def frame_hops(frame: int, lookahead_ms: int) -> range:
    """The four hops of `AudioFeatures.values` for one frame: those that end at `40 * frame + lookahead_ms`.

    A look-ahead between two hops is rounded down. Negative hop numbers lie before the stream and are rows of zeros.
    """
    end = HOPS_PER_FRAME * frame + lookahead_ms // HOP_MS
    return range(end - HOPS_PER_FRAME, end)


class LogMel:
    """The front end of one stream: a `models.audio.feature_stream.RowSource`.

    Attributes:
        bands: Values in a row.
        frame_rows: Rows that a system gets for one frame.
        before: Every value of a row that lies before the stream.
        tail: All it remembers: the samples that the next window still needs, [240 to 399], float32.
    """

    tail: NDArray[np.float32]

    def __init__(self) -> None:
        self.bands = BANDS
        self.frame_rows = HOPS_PER_FRAME
        self.before = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next sample follows digital silence."""
        self.tail = np.zeros(WINDOW_SAMPLES - HOP_SAMPLES, np.float32)

    def rows_of_frame(self, frame: int, lookahead_ms: int) -> NDArray[np.int64]:
        """`frame_hops` as an array, [4]."""
        return np.array(frame_hops(frame, lookahead_ms))

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples and return the hops that they complete.

        Args:
            samples: Mono sound at 16 kHz, [n], float32, full scale -1 to 1; any n, 0 included.

        Returns:
            Log-mel rows, [hops, 80], float32: `log10(max(power, FLOOR_POWER) / FLOOR_POWER) / DECADES_PER_UNIT`,
            0 (at or below the floor) to about 2.3. Digital silence is exactly 0.
        """
        sound = np.concatenate([self.tail, samples.astype(np.float32, copy=False)])
        hops = max(0, (len(sound) - WINDOW_SAMPLES) // HOP_SAMPLES + 1)
        self.tail = sound[hops * HOP_SAMPLES :].copy()
        if hops == 0:
            return np.zeros((0, BANDS), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(sound, WINDOW_SAMPLES)[::HOP_SAMPLES][:hops]
        spectrum = np.fft.rfft(windows * _WINDOW, FFT_SAMPLES)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        bands = np.maximum(power.astype(np.float32) @ _FILTERS, FLOOR_POWER)
        return (np.log10(bands / np.float32(FLOOR_POWER)) / np.float32(DECADES_PER_UNIT)).astype(np.float32)


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of a whole recording, [n] to [n // 160, 80]: the same code and values as a stream."""
    return LogMel().push(samples)


def _mel(hz: float) -> float:
    return 2595.0 * float(np.log10(1.0 + hz / 700.0))


# a Hann window scaled so that a full-scale sine on a bin has power 1 there
_WINDOW: Final = (np.hanning(WINDOW_SAMPLES + 1)[:-1] * (4.0 / WINDOW_SAMPLES)).astype(np.float32)
_FILTERS: Final = mel_filters()
