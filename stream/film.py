"""Reads a video for training: its pictures at 25 a second, its sound beside them at 16 kHz, in pieces."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.error import FFmpegError
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from models.system import FPS, SAMPLE_RATE_HZ
from models.training.clips import FRAME_SAMPLES
from models.training.face_track import RejectedError
from models.training.layouts import Source
from models.training.prepare_clips import QUIETEST_RMS, Piece

MAX_GAP_S: Final = 0.2
"""Longest time that one picture may stand for: beyond it the mouth is not seen speaking."""
LONG_SIDE_PX: Final = 1280
_PERIOD_S: Final = 1 / FPS
_OFF_S: Final = 0.002  # a picture this far from its time counts as retimed; containers round to a millisecond


def read_film(source: Source, piece_frames: int) -> Iterator[Piece]:
    """The pieces of a video, in order; every picture in at most one.

    A frame shows the picture nearest to its time, so that any rate, steady or not, becomes 25 a second.

    Args:
        source: What to read.
        piece_frames: Length of a piece; the last one is shorter.

    Raises:
        RejectedError: unreadable, no sound, silent, or gaps where pictures are missing for longer than 0.2 s.
    """
    try:
        with av.open(source.video) as film:
            if not film.streams.video:
                raise RejectedError("unreadable")
            film.streams.video[0].thread_type = "AUTO"
            yield from _pieces(film.decode(video=0), source.sound, piece_frames)
    except (FFmpegError, OSError) as error:
        raise RejectedError("unreadable") from error


def _pieces(pictures: Iterator[VideoFrame], sound_file: Path, piece_frames: int) -> Iterator[Piece]:
    sound = np.zeros(0, np.float32)
    held: list[NDArray[np.uint8]] = []
    done, retimed = 0, False
    for number, (picture, start_s, off) in enumerate(_at_25(pictures)):
        if not number:
            sound = _sound(sound_file, start_s)
        held.append(picture)
        retimed |= off
        if len(held) == piece_frames:
            yield _piece(held, sound, done, retimed)
            done, held, retimed = done + len(held), [], False
    if not done and not held:
        raise RejectedError("unreadable")
    if held:
        yield _piece(held, sound, done, retimed)


def _piece(held: list[NDArray[np.uint8]], sound: NDArray[np.float32], done: int, retimed: bool) -> Piece:
    """The pictures and their sound; pictures after the sound's end are left away."""
    spoken = sound[FRAME_SAMPLES * done : FRAME_SAMPLES * (done + len(held))]
    frames = len(spoken) // FRAME_SAMPLES
    return Piece(np.stack(held)[:frames], spoken[: FRAME_SAMPLES * frames], done, retimed)


def _at_25(pictures: Iterator[VideoFrame]) -> Iterator[tuple[NDArray[np.uint8], float, bool]]:
    """The picture nearest to each frame's time, when the first one is shown, and whether it stands off that time."""
    first_s, shown, before = 0.0, 0, None
    for picture in pictures:
        if picture.pts is None:
            raise RejectedError("unreadable")
        if before is None:
            first_s, before = picture.time, picture
        if picture.time - before.time > MAX_GAP_S:
            raise RejectedError("gaps")
        while picture.time - _time(first_s, shown) > abs(off_s := before.time - _time(first_s, shown)):
            yield _pixels(before), first_s, abs(off_s) > _OFF_S
            shown += 1
        before = picture
    if before is not None and abs(off_s := before.time - _time(first_s, shown)) <= _PERIOD_S / 2:
        yield _pixels(before), first_s, abs(off_s) > _OFF_S


def _time(first_s: float, frame: int) -> float:
    return first_s + frame * _PERIOD_S


def _pixels(frame: VideoFrame) -> NDArray[np.uint8]:
    scale = min(1.0, LONG_SIDE_PX / max(frame.width, frame.height))
    small = frame.reformat(round(frame.width * scale), round(frame.height * scale), "rgb24")
    return np.asarray(small.to_ndarray(), np.uint8)


def _sound(path: Path, from_s: float) -> NDArray[np.float32]:
    """The sound of a file from a moment on, mono at 16 kHz; silence where it begins later."""
    resampler = AudioResampler("flt", "mono", SAMPLE_RATE_HZ)
    pieces: list[NDArray[np.float32]] = []
    begin_s: float | None = None
    with av.open(path) as film:
        if not film.streams.audio:
            raise RejectedError("no sound")
        for frame in film.decode(audio=0):
            begin_s = frame.time if begin_s is None else begin_s
            pieces += [part.to_ndarray().reshape(-1).astype(np.float32) for part in resampler.resample(frame)]
        pieces += [part.to_ndarray().reshape(-1).astype(np.float32) for part in resampler.resample(None)]
    samples = np.concatenate([np.zeros(0, np.float32), *pieces])
    if not samples.size or np.sqrt(np.square(samples, dtype=np.float64).mean()) < QUIETEST_RMS:
        raise RejectedError("silent")
    late = round(((begin_s or 0.0) - from_s) * SAMPLE_RATE_HZ)
    return samples[-late:] if late < 0 else np.pad(samples, (late, 0))
