"""`visavis train`: the house model by the trainers of `models.training` in order, each as a process of its own; or one
of the published systems by `models.training.train_system`, in this process, so that `torchrun` can start several. The
house model's renderers take all GPUs by themselves."""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from stream.config import JUDGES, TRAINED_SYSTEMS, SystemTrainConfig, TrainConfig
from stream.errors import MissingPartsError, OtherRunError, StartedTwiceError

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
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="the corpus folder; for a published system the clips that `visavis corpus videos` made",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="weights and everything between")
    parser.add_argument(
        "--system",
        default="visavis",
        choices=["visavis", *TRAINED_SYSTEMS],
        metavar="NAME",
        help=f"what is trained: visavis, {', '.join(TRAINED_SYSTEMS)} (default: visavis)",
    )
    house = parser.add_argument_group("visavis")
    house.add_argument(
        "--stage", default="all", choices=["all", *STAGES], help="one part, or all in order (default: all)"
    )
    house.add_argument(
        "--quick", action="store_true", help="do a little of every stage in a few minutes, to see that all works"
    )
    _system_options(parser)


def _system_options(whole: argparse.ArgumentParser) -> None:
    parser = whole.add_argument_group("published systems", "Several processes: torchrun -m stream.cli train ...")
    parser.add_argument("--minutes", type=float, metavar="M", help="training time in all, shared by the stages")
    parser.add_argument("--steps", type=int, metavar="N", help="batches in all, instead of --minutes")
    parser.add_argument(
        "--size", choices=["small", "published"], default="small", help="of the networks (default: small)"
    )
    parser.add_argument("--batch", type=int, default=4, metavar="N", help="clips in a batch (default: 4)")
    parser.add_argument(
        "--rate", type=float, default=1.0, metavar="X", help="factor on all learning rates (default: 1)"
    )
    parser.add_argument("--amp", action="store_true", help="mixed precision: bfloat16 where it is safe")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (default: 0)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads (default: 1)")
    for name, file, losses in (
        ("vgg", "torchvision's vgg19-*.pth", "perceptual losses"),
        ("squeezenet", "Keras' squeezenet_v1.1_notop*.h5", "them too, at a fiftieth of the work"),
        ("syncnet", "Wav2Lip's lipsync_expert.pth", "FC-TFG's sync loss"),
        ("arcface", "model_ir_se50.pth", "FC-TFG's identity loss"),
    ):
        parser.add_argument(
            f"--{name}", type=Path, metavar="FILE", help=f"{file} for {losses} (default: a stand-in of ours)"
        )


def configure(args: argparse.Namespace) -> TrainConfig:
    """The config of those options."""
    common = {"data": args.data, "out": args.out, "system": args.system, "stage": args.stage, "quick": args.quick}
    if args.system == "visavis":
        return TrainConfig(**common)
    own = ("minutes", "steps", "size", "batch", "rate", "amp", "seed", "threads", *JUDGES)
    return SystemTrainConfig(**common, **{name: getattr(args, name) for name in own})


def train(config: TrainConfig) -> int:
    """Run what `config` asks for; a step that fails ends it. Returns the exit code, 0 if all went well.

    Raises:
        MissingPartsError: If a package or program that a stage needs is not there; nothing was begun then.
        StartedTwiceError: If `torchrun` started this process to train visavis.
        OtherRunError: If the output folder holds a quick run and this is none, or the other way round.
        ModelError: If a published system cannot be trained: see `models.training.train_system.train`.
    """
    if isinstance(config, SystemTrainConfig):
        return _train_system(config)
    if "WORLD_SIZE" in os.environ:
        raise StartedTwiceError(int(os.environ["WORLD_SIZE"]))
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


def _train_system(config: SystemTrainConfig) -> int:
    import torch

    from models.training.processes import processes
    from models.training.stages import Judges
    from models.training.systems import make_recipe
    from models.training.train_system import RunConfig
    from models.training.train_system import train as run

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(config.threads)
    judges = Judges(**{name: getattr(config, name) for name in JUDGES})
    with processes():
        torch.manual_seed(config.seed)
        recipe, data = make_recipe(config.system, config.size, config.data, judges)
        same = ("out", "minutes", "steps", "batch", "rate", "amp", "seed")
        trainer = run(recipe, RunConfig(**{name: getattr(config, name) for name in same}, data=data))
    if trainer.rank == 0:
        took_min = trainer.spent_s / 60
        file = config.out / f"{config.system}.safetensors"
        print(f"visavis train: {file} after {trainer.done} steps, {took_min:.1f} min", file=sys.stderr, flush=True)
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
                yield [*_on_all_gpus(), "models.training.train_renderer", *where, *features, *length]


def _on_all_gpus() -> list[str]:
    """What starts a module in a process for each GPU, where there are several."""
    import torch

    if torch.cuda.device_count() < 2:
        return []
    return ["torch.distributed.run", "--standalone", "--nproc-per-node", "gpu", "-m"]
