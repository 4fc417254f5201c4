"""I420 frames to VP8 RTP payloads, made for one face at 25 fps with no frame of delay."""

from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from models.system import FPS

MAX_PAYLOAD_BYTES: Final = 1180
"""With RTP header, extensions, SRTP tag, UDP and a TURN header this stays below 1280, IPv6's smallest MTU."""
BITS_PER_PIXEL: Final = 0.35
MIN_BITRATE: Final = 150_000
MAX_BITRATE: Final = 4_000_000
CHANGE: Final = 0.25
"""The encoder is opened anew (which costs a key frame) only for a change of bitrate by more than this share."""

STATIC_THRESHOLD: Final = "400"
"""Squared error of a block that is not worth coding again: repeated pictures cost half, others three quarters."""


def usual_bitrate(width: int, height: int) -> int:
    """Bits per second for a picture of so many pixels: 0.57 Mbit/s at 256 x 256, 2.3 Mbit/s at 512 x 512."""
    return min(MAX_BITRATE, int(BITS_PER_PIXEL * FPS * width * height))


class Vp8Encoder:
    """Encodes one stream. Not thread-safe: one thread at a time, but `target_bitrate` may be set from another.

    The picture's size may change from one frame to the next; the first of a new size is a key frame.

    Attributes:
        target_bitrate: Bits per second that the network is believed to carry; the usual rate is never exceeded.
    """

    def __init__(self) -> None:
        self.target_bitrate = MAX_BITRATE
        self._codec: VideoCodecContext | None = None
        self._shown: av.VideoFrame | None = None
        self._bitrate = 0
        self._picture_id = 0

    def encode(self, i420: NDArray[np.uint8] | None, frame: int, *, key: bool = False) -> list[bytes]:
        """Encode one frame and cut it into RTP payloads.

        Args:
            i420: Planar pixels, [H * 3 / 2, W], uint8, as `kernels.i420` makes them; None shows the last ones again.
            frame: Its number, rising.
            key: Make it a key frame: a decoder may begin with it.

        Raises:
            ValueError: If there are no last ones.
        """
        if i420 is not None:
            self._shown = av.VideoFrame.from_ndarray(i420, format="yuv420p")
        if self._shown is None:
            raise ValueError("got no picture to begin with, want pixels first")
        picture = self._shown
        picture.pts = frame
        picture.pict_type = PictureType.I if key else PictureType.NONE
        data = b"".join(bytes(packet) for packet in self._open(picture.width, picture.height).encode(picture))
        payloads = packetize(data, self._picture_id)
        self._picture_id = (self._picture_id + 1) % (1 << 15)
        return payloads

    def _open(self, width: int, height: int) -> VideoCodecContext:
        wanted = min(max(self.target_bitrate, MIN_BITRATE), usual_bitrate(width, height))
        codec = self._codec
        fits = codec is not None and (codec.width, codec.height) == (width, height)
        if codec is not None and fits and abs(wanted - self._bitrate) <= CHANGE * self._bitrate:
            return codec
        codec = av.CodecContext.create("libvpx", "w")
        codec.width, codec.height = width, height
        codec.pix_fmt = "yuv420p"
        codec.framerate = Fraction(FPS)
        codec.time_base = Fraction(1, FPS)
        codec.bit_rate = wanted
        codec.gop_size = 3000
        codec.qmin, codec.qmax = 4, 50
        codec.thread_count = 1
        codec.options = {
            "deadline": "realtime",
            "cpu-used": "-6",
            "lag-in-frames": "0",
            "minrate": str(wanted),
            "maxrate": str(wanted),
            "bufsize": str(wanted),
            "static-thresh": STATIC_THRESHOLD,
        }
        self._codec, self._bitrate = codec, wanted
        return codec


def packetize(data: bytes, picture_id: int) -> list[bytes]:
    """Cut one encoded frame into payloads, each with a VP8 descriptor that carries a 15-bit picture id.

    Source:
        RFC 7741, section 4.2.
    """
    room = MAX_PAYLOAD_BYTES - 4
    payloads: list[bytes] = []
    for start in range(0, len(data), room):
        first = 0x90 if start == 0 else 0x80  # X, and S on the first
        payloads.append(bytes((first, 0x80, 0x80 | picture_id >> 8, picture_id & 0xFF)) + data[start : start + room])
    return payloads
