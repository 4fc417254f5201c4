"""`visavis train`: runs the trainers of `models.training` in order, each as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stream.config import TrainConfig

FEATURE_WEIGHTS: Final = Path("helper-weights", "squeezenet_v1.1_notop_keras.h5")
STAGES: Final = ("pairs", "landmarks", "speech", "renderer")


def train(config: TrainConfig) -> int:
    """Run what `config` asks for; a step that fails ends it. Returns the exit code, 0 if all went well."""
    config.out.mkdir(parents=True, exist_ok=True)
    for stage in STAGES if config.stage == "all" else (config.stage,):
        for command in commands(stage, config.data, config.out):
            print(f"visavis train: {' '.join(command)}", file=sys.stderr, flush=True)
            code = subprocess.run([sys.executable, "-m", *command], check=False).returncode
            if code:
                print(f"visavis train: {command[0]} ended with exit code {code}", file=sys.stderr)
                return 1
    return 0


def commands(stage: str, data: Path, out: Path) -> Iterator[list[str]]:
    """The modules of one stage with their options, in order: those of the bundled weights. What one writes another
    reads."""
    match stage:
        case "pairs":
            yield ["models.training.build_rig", "--data", str(data), "--out", str(out / "rig.safetensors")]
            yield ["models.training.pairs", "--data", str(data), "--out", str(out / "pairs")]
            yield ["models.training.grid_frames", "--data", str(data), "--out", str(out / "pairs")]
        case "landmarks":
            weights = out / "landmarks.safetensors"
            length = ["--steps", "2400", "--batch", "32"]
            yield ["models.training.train_landmarks", "--data", str(data), "--out", str(weights), *length]
        case "speech":
            corpus = out / "speech"
            yield ["models.training.speech_corpus", "--data", str(data), "--out", str(corpus)]
            where = ["--corpus", str(corpus), "--out", str(out / "speech.safetensors")]
            yield ["models.training.train_speech", *where, "--minutes", "41"]
        case _:
            squeezenet = data / FEATURE_WEIGHTS
            features = ["--squeezenet", str(squeezenet)] if squeezenet.is_file() else []
            where = ["--pairs", str(out / "pairs"), "--out", str(out / "renderer")]
            yield ["models.training.train_renderer", *where, *features, "--minutes", "150", "--rate", "2e-3"]
