"""`visavis render`: a photo and a sound file to an MP4, through the same stages as a live session."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from numpy.typing import NDArray
from torch import Tensor

from models.canvas import Canvas
from models.system import FPS, SAMPLE_RATE_HZ, IdentityState, System
from stream.compose import Composer
from stream.config import RenderConfig
from stream.drive import Drive
from stream.errors import SoundError
from stream.targets import EMOTION_INTENSITY, SPEECH_INTENSITY, ControlUpdate

VOICE_RATE_HZ: Final = 48_000
AAC_FRAME_SAMPLES: Final = 1024
AAC_BIT_RATE: Final = 128_000
TAIL_SAMPLES: Final = SAMPLE_RATE_HZ // FPS  # silence pushed at a time to get the last frames


@dataclass(frozen=True)
class Rendered:
    """What became of one `render`.

    Attributes:
        frames: Frames in the film, at 25 a second.
        seconds: Length of the sound.
        took_s: Time that it took, enrolment not included.
        video_codec: "h264", or "mpeg4" where PyAV was built without libx264.
    """

    frames: int
    seconds: float
    took_s: float
    video_codec: str


def render(
    config: RenderConfig,
    system: System,
    identity: IdentityState,
    on_progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Rendered:
    """Draw every frame of a sound and write the film; a film that failed halfway leaves no file.

    Args:
        config: What to read and write.
        system: Draws the face.
        identity: Whose face.
        on_progress: Told how many frames are done, and of how many, if the sound tells its length.

    Raises:
        SoundError: If the file holds no sound that can be read.
    """
    started_s = time.monotonic()
    part = config.out.with_name(f".{config.out.stem}.part.mp4")
    try:
        with _open_sound(config.audio) as sound, av.open(part, "w", options={"movflags": "faststart"}) as film:
            writer = _Writer(film, system.frame_px, identity.canvas, _layout(sound))
            drive = Drive(system, identity, lookahead_ms=config.lookahead_ms, idle=config.idle, seed=config.seed)
            drive.targets.update(_mood(config))
            seconds = _draw_all(sound, drive, writer, on_progress)
            writer.finish()
        if not writer.frames:
            raise SoundError(str(config.audio), "its sound is empty")
        part.replace(config.out)
    except FFmpegError as error:
        raise SoundError(str(config.audio), error.strerror or type(error).__name__) from error
    finally:
        part.unlink(missing_ok=True)
    return Rendered(writer.frames, seconds, time.monotonic() - started_s, writer.codec)


def _mood(config: RenderConfig) -> ControlUpdate:
    name, intensity = config.emotion
    return ControlUpdate({EMOTION_INTENSITY: intensity, SPEECH_INTENSITY: config.speech_intensity}, emotion=name)


def read_sound(path: Path) -> NDArray[np.float32]:
    """A whole sound, mono at 16 kHz, [n], full scale -1 to 1.

    Raises:
        SoundError: If the file holds no sound that can be read.
    """
    try:
        with _open_sound(path) as sound:
            pieces = [samples for _, samples in _decode(sound)]
    except FFmpegError as error:
        raise SoundError(str(path), error.strerror or type(error).__name__) from error
    if not any(piece.size for piece in pieces):
        raise SoundError(str(path), "its sound is empty")
    return np.concatenate(pieces)


def _open_sound(path: Path) -> InputContainer:
    try:
        sound = av.open(path)
    except FFmpegError as error:
        raise SoundError(str(path), error.strerror or type(error).__name__) from error
    if not sound.streams.audio:
        sound.close()
        raise SoundError(str(path), "no sound in it")
    return sound


def _draw_all(
    sound: InputContainer, drive: Drive, writer: "_Writer", on_progress: Callable[[int, int | None], None]
) -> float:
    """Write every frame of the sound; returns its length in seconds."""
    duration = sound.duration
    total = None if duration is None else -(-duration * FPS // av.time_base)
    heard_samples = 0
    for voice, samples in _decode(sound):
        writer.add_voice(voice)
        heard_samples += samples.size
        _draw(drive, samples, writer, _frames_of(heard_samples))
        on_progress(writer.frames, total)
    while writer.frames < _frames_of(heard_samples):
        _draw(drive, np.zeros(TAIL_SAMPLES, np.float32), writer, _frames_of(heard_samples))
    on_progress(writer.frames, writer.frames)
    return heard_samples / SAMPLE_RATE_HZ


def _draw(drive: Drive, samples: NDArray[np.float32], writer: "_Writer", limit_frames: int) -> None:
    for due in drive.push(samples):
        if writer.frames < limit_frames:
            writer.add_frame(drive.draw(due))


def _layout(sound: InputContainer) -> str:
    return "mono" if sound.streams.audio[0].channels == 1 else "stereo"


def _frames_of(samples: int) -> int:
    return -(-samples * FPS // SAMPLE_RATE_HZ)


def _decode(sound: InputContainer) -> Iterator[tuple[list[av.AudioFrame], NDArray[np.float32]]]:
    """The sound in small pieces: [frames for the film], [n] float32 at 16 kHz for the face."""
    for_film = AudioResampler("fltp", _layout(sound), VOICE_RATE_HZ, frame_size=AAC_FRAME_SAMPLES)
    for_face = AudioResampler("flt", "mono", SAMPLE_RATE_HZ)
    for frame in (*_frames(sound), None):
        pieces = [piece.to_ndarray().reshape(-1) for piece in for_face.resample(frame)]
        samples = np.concatenate(pieces) if pieces else np.zeros(0)
        yield for_film.resample(frame), samples.astype(np.float32)


def _frames(sound: InputContainer) -> Iterator[av.AudioFrame]:
    """Decoded frames, timed from 0 on without a gap."""
    samples = 0
    for frame in sound.decode(audio=0):
        frame.time_base, frame.pts = Fraction(1, frame.sample_rate), samples
        samples += frame.samples
        yield frame


class _Writer:
    """An MP4 with one picture track and one sound track, both from media time 0 on."""

    def __init__(self, film: OutputContainer, frame_px: int, canvas: Canvas | None, layout: str) -> None:
        self._film = film
        self._canvas, self._composer = canvas, Composer()
        self.frames = 0
        x264 = "libx264" in av.codecs_available
        self.codec = "h264" if x264 else "mpeg4"
        options = {"crf": "18", "preset": "medium"} if x264 else {"qscale:v": "3"}
        self._picture: VideoStream = film.add_stream("libx264" if x264 else "mpeg4", rate=FPS, options=options)
        height, width = (frame_px, frame_px) if canvas is None else canvas.rgb.shape[1:]
        self._picture.width, self._picture.height = width, height
        self._picture.pix_fmt = "yuv420p"
        self._voice: AudioStream = film.add_stream("aac", rate=VOICE_RATE_HZ, layout=layout)
        self._voice.bit_rate = AAC_BIT_RATE

    def add_frame(self, rgb: Tensor) -> None:
        """Append the picture of one frame, [1, 3, frame_px, frame_px], float32, -1 to 1."""
        frame = av.VideoFrame.from_ndarray(self._composer.i420(rgb, self._canvas), format="yuv420p")
        frame.pts, frame.time_base = self.frames, Fraction(1, FPS)
        self._film.mux(self._picture.encode(frame))
        self.frames += 1

    def add_voice(self, frames: list[av.AudioFrame]) -> None:
        """Append sound as the AAC encoder wants it."""
        for frame in frames:
            self._film.mux(self._voice.encode(frame))

    def finish(self) -> None:
        """Write what the encoders still hold."""
        self._film.mux(self._picture.encode(None))
        self._film.mux(self._voice.encode(None))
