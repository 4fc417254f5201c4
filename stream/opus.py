"""Opus packets to 16 kHz mono: length from the packet's own header, decoding by PyAV, causal 3:1 resampling."""

from typing import Final

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from stream.clock import OPUS_HZ

SILK_SAMPLES: Final = (480, 960, 1920, 2880)
HYBRID_SAMPLES: Final = (480, 960)
CELT_SAMPLES: Final = (120, 240, 480, 960)
MAX_SAMPLES: Final = 5760
FULL_SCALE: Final = np.float32(1 / 32768)
DOWN: Final = 3
TAPS: Final = 63
CUTOFF_HZ: Final = 7500.0


def packet_samples(payload: bytes) -> int:
    """Length of an Opus packet at 48 kHz: 120 to 5760 samples; 0 if it is not one.

    Source:
        RFC 6716, section 3.1 (table 2) and 3.2.
    """
    if not payload:
        return 0
    config, code = payload[0] >> 3, payload[0] & 3
    if config < 12:
        frame = SILK_SAMPLES[config & 3]
    elif config < 16:
        frame = HYBRID_SAMPLES[config & 1]
    else:
        frame = CELT_SAMPLES[config & 3]
    if code == 3 and len(payload) < 2:
        return 0
    frames = (1, 2, 2, payload[1] & 63 if code == 3 else 0)[code]
    samples = frame * frames
    return samples if samples <= MAX_SAMPLES else 0


class OpusVoice:
    """Decodes one stream of Opus packets, mono or stereo, to mono float at 48 kHz."""

    def __init__(self) -> None:
        codec = av.CodecContext.create("libopus", "r")
        codec.sample_rate = OPUS_HZ
        codec.layout = "mono"  # libopus mixes stereo down itself
        codec.format = "s16"
        self._codec = codec

    def decode(self, payload: bytes, samples: int) -> NDArray[np.float32]:
        """Decode one packet to exactly `samples` values, -1 to 1; a packet that cannot be decoded is silence."""
        try:
            frames = self._codec.decode(av.Packet(payload))
        except FFmpegError:
            return np.zeros(samples, np.float32)
        sound = np.zeros(samples, np.float32)
        done = 0
        for frame in frames:
            piece = frame.to_ndarray()[0][: samples - done]
            sound[done : done + piece.size] = piece
            done += piece.size
        return sound * FULL_SCALE


class Downsampler:
    """48 kHz to 16 kHz, chunk by chunk: a windowed-sinc low pass of 63 taps, so 0.65 ms late.

    Output k depends on the inputs up to 3 * k + 2 alone, so n inputs (a multiple of 3) give n / 3 outputs at once.
    """

    def __init__(self) -> None:
        n = np.arange(TAPS) - (TAPS - 1) / 2
        taps = np.sinc(2 * CUTOFF_HZ / OPUS_HZ * n) * np.blackman(TAPS)
        taps = (taps / taps.sum()).astype(np.float32)
        self._phases = [taps[phase::DOWN][::-1].copy() for phase in range(DOWN)]
        self._tail = np.zeros(TAPS - DOWN, np.float32)

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next [n] samples at 48 kHz, n a multiple of 3, to [n / 3] at 16 kHz."""
        if samples.size % DOWN:
            raise ValueError(f"got {samples.size} samples, want a multiple of {DOWN}: Opus packets always are")
        line = np.concatenate([self._tail, samples])
        self._tail = line[line.size - self._tail.size :]
        if not samples.size:
            return samples
        parts = [np.convolve(line[phase::DOWN], taps, "valid") for phase, taps in enumerate(self._phases)]
        return parts[0] + parts[1] + parts[2]
