"""`visavis train`: runs the trainers of `models.training` in order, each as a process of its own."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from stream.config import TrainConfig
from stream.errors import MissingPartsError, OtherRunError

FEATURE_WEIGHTS: Final = Path("helper-weights", "squeezenet_v1.1_notop_keras.h5")
STAGES: Final = ("pairs", "landmarks", "speech", "renderer")
WEIGHTS: Final = {
    "pairs": "rig.safetensors",
    "landmarks": "covers.safetensors",
    "speech": "speech.safetensors",
    "renderer": "renderer-base/renderer.safetensors",
}
"""The last that each stage leaves of what ships with visavis."""

QUICK_VOICES: Final = ("flite-kal16", "flite-awb", "held")
_SETTINGS: Final = "settings.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `visavis train`."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the corpus folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="weights and everything between")
    parser.add_argument("--system", default="visavis", choices=["visavis"], help="what is trained (default: visavis)")
    parser.add_argument(
        "--stage", default="all", choices=["all", *STAGES], help="one part, or all in order (default: all)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="do a little of every stage in a few minutes, to see that all works"
    )


def configure(args: argparse.Namespace) -> TrainConfig:
    """The config of those options."""
    return TrainConfig(data=args.data, out=args.out, system=args.system, stage=args.stage, quick=args.quick)


def train(config: TrainConfig) -> int:
    """Run what `config` asks for; a step that fails ends it. Returns the exit code, 0 if all went well.

    Raises:
        MissingPartsError: If a package or program that a stage needs is not there; nothing was begun then.
        OtherRunError: If the output folder holds a quick run and this is none, or the other way round.
    """
    stages = STAGES if config.stage == "all" else (config.stage,)
    missing = dict.fromkeys(part for stage in stages for part in missing_parts(stage, config.data))
    if missing:
        raise MissingPartsError(tuple(missing))
    config.out.mkdir(parents=True, exist_ok=True)
    _claim(config)
    for number, stage in enumerate(stages, 1):
        print(f"visavis train: stage {number} of {len(stages)}, {stage}", file=sys.stderr, flush=True)
        started_s = time.monotonic()
        for command in commands(stage, config.data, config.out, quick=config.quick):
            print(f"visavis train: {' '.join(command)}", file=sys.stderr, flush=True)
            code = subprocess.run([sys.executable, "-m", *command], check=False).returncode
            if code:
                print(f"visavis train: {command[0]} ended with exit code {code}", file=sys.stderr)
                return 1
        took_min = (time.monotonic() - started_s) / 60
        print(f"visavis train: {config.out / WEIGHTS[stage]} after {took_min:.1f} min", file=sys.stderr, flush=True)
    return 0


def missing_parts(stage: str, data: Path) -> list[str]:
    """What this stage needs and this machine or the corpus lacks."""
    packages = {"pairs": ("moderngl",), "renderer": ("h5py",) if (data / FEATURE_WEIGHTS).is_file() else ()}
    programs = {"pairs": ("ffmpeg",), "speech": ("ffmpeg",)}
    photos = ("landmarks", "congress-portraits", "us-officials-416", "fairface-subset")
    folders = {
        "pairs": ("ict-facekit", "grid-s1", *photos),
        "landmarks": photos,
        "speech": ("speech-ljs", "grid-s1"),
    }
    return [
        *(f"the Python package {name} (extra [train])" for name in packages.get(stage, ()) if find_spec(name) is None),
        *(f"the program {name}" for name in programs.get(stage, ()) if shutil.which(name) is None),
        *(f"the folder {data / name}" for name in folders.get(stage, ()) if not (data / name).is_dir()),
    ]


def _claim(config: TrainConfig) -> None:
    """Note in the output folder what kind of run it holds; what is there of the other kind must not be resumed."""
    path = config.out / _SETTINGS
    if path.exists() and json.loads(path.read_text())["quick"] != config.quick:
        raise OtherRunError(config.out, asked_quick=config.quick)
    path.write_text(json.dumps({"quick": config.quick}) + "\n")


def commands(stage: str, data: Path, out: Path, *, quick: bool = False) -> Iterator[list[str]]:
    """The modules of one stage with their options, in order: those of the bundled weights. What one writes another
    reads. With `quick`, so little of everything that all stages are done in minutes: the weights are of no use."""
    match stage:
        case "pairs":
            few = ["--persons", "50", "--states", "5"] if quick else ["--persons", "640", "--states", "10"]
            clips = ["--clips", "25", "--frames", "5"] if quick else []
            yield ["models.training.build_rig", "--data", str(data), "--out", str(out / "rig.safetensors")]
            yield ["models.training.pairs", "--data", str(data), "--out", str(out / "pairs"), "--size", "512", *few]
            yield ["models.training.grid_frames", "--data", str(data), "--out", str(out / "pairs"), *clips]
        case "landmarks":
            for net, steps, batch in (("landmarks", "3000", "40"), ("parts", "5000", "48")):
                length = ["--steps", "10", "--batch", "8"] if quick else ["--steps", steps, "--batch", batch]
                where = ["--data", str(data), "--pairs", str(out / "pairs"), "--out", str(out / f"{net}.safetensors")]
                yield [f"models.training.train_{net}", *where, *length]
            where = ["--data", str(data), "--out", str(out / "covers.safetensors")]
            yield ["models.training.train_covers", *where, "--steps", "10" if quick else "1500"]
        case "speech":
            corpus = out / "speech"
            few = ["--count", "10", "--voices", *QUICK_VOICES] if quick else []
            yield ["models.training.speech_corpus", "--data", str(data), "--out", str(corpus), *few]
            where = ["--corpus", str(corpus), "--out", str(out / "speech.safetensors")]
            yield ["models.training.train_speech", *where, "--minutes", "0.2" if quick else "41"]
        case _:
            squeezenet = data / FEATURE_WEIGHTS
            features = ["--squeezenet", str(squeezenet)] if squeezenet.is_file() else []
            small, base = out / "renderer", out / "renderer-base"
            start = ["--size", "base", "--start", str(small / "renderer.safetensors")]
            for folder, minutes, size in ((small, "150", []), (base, "90", start)):
                where = ["--pairs", str(out / "pairs"), "--out", str(folder), *size]
                length = ["--minutes", "0.5" if quick else minutes, "--rate", "1.5e-3"]
                yield ["models.training.train_renderer", *where, *features, *length]
