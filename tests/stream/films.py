"""Small real videos, made on the spot."""

from fractions import Fraction

import av
import numpy as np

from tests.stream.fakes import tone


def write_film(path, pictures, times_s=None, sound=None, rate=16_000):
    """Pictures [H, W, 3] at their times (25 a second unless given), and a sound unless it is None; lossless."""
    times_s = [i / 25 for i in range(len(pictures))] if times_s is None else times_s
    with av.open(path, "w") as film:
        video = film.add_stream("ffv1", rate=25)
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt = "bgr0"
        video.codec_context.time_base = Fraction(1, 1000)
        voice = None if sound is None else film.add_stream("flac", rate=rate, layout="mono")
        for picture, time_s in zip(pictures, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
            film.mux(video.encode(frame))
        film.mux(video.encode(None))
        if voice is not None:
            samples = av.AudioFrame.from_ndarray((sound * 32767).astype(np.int16)[None], format="s16", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = rate, 0, Fraction(1, rate)
            film.mux(voice.encode(samples))
            film.mux(voice.encode(None))
    return path


def greys(levels, size=32):
    """Plain pictures of these levels."""
    return [np.full((size, size, 3), level, np.uint8) for level in levels]


def voice(seconds, rate=16_000):
    """A tone that is silent in its first fifth."""
    quiet = round(seconds * rate / 5)
    return np.concatenate([np.zeros(quiet, np.float32), tone(seconds * 4 / 5, rate=rate)])
