"""Published EquiAV checkpoints to safetensors: `python -m models.equiav.convert PATH OUT`.

The published file is the state dict of a trainer that holds the network as `__M__` (specification 4.7). Its layers
carry their modality in their first name (`blocks_a.3...`, `norm_v_aug`); here each modality is a module of its own.
"""

import argparse
import pickle
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from models.equiav.config import PUBLISHED, EquiAVConfig
from models.equiav.encoder import sin_cos_positions
from models.equiav.network import EquiAV
from models.errors import ModelError

PREFIXES: Final = ("module.", "__M__.")
IGNORABLE: Final = (
    r"blocks_[av]\.\d+\.norm[12]_[av]\.",  # of an earlier design: no forward pass uses them
    r"decoder_",  # of MAE, whose encoders EquiAV starts from
    r"mask_token$",
    r"cls_token$",
    r"__L_",  # learned temperatures of the trainer's losses
)
_OURS: Final = re.compile(r"(audio|video)\.([a-z]+(?:_[a-z]+)*)(.*)")
_INSIDE: Final = frozenset({"norm_aug", "pred_inter", "pred_intra"})
"""Names that the published layout writes with the modality in the middle."""


class CheckpointError(ModelError, ValueError):
    """A file is not an EquiAV checkpoint; `got` says what it is."""

    def __init__(self, path: Path, got: str) -> None:
        self.path = path
        self.got = got

    def __str__(self) -> str:
        return f"{self.path}: got {self.got}, want an EquiAV checkpoint: the state dict that pre-training wrote"


@dataclass(frozen=True)
class Report:
    """What became of a checkpoint's entries, by their published names without prefixes.

    Attributes:
        loaded: Now in the network.
        ignored: Known and not needed.
        unknown: In the file, and neither of both.
        missing: Not in the file, but known without it: the fixed positions.
    """

    loaded: tuple[str, ...]
    ignored: tuple[str, ...]
    unknown: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        counts = f"{len(self.loaded)} loaded, {len(self.ignored)} ignored"
        lists = [
            f"{len(names)} {what}: {', '.join(names)}"
            for what, names in (("unknown", self.unknown), ("missing", self.missing))
            if names
        ]
        return "; ".join([counts, *lists])


def published_name(name: str) -> str:
    """The published name of an entry of `EquiAV.state_dict()`: `audio.norm_aug.bias` is `norm_a_aug.bias`."""
    match = _OURS.fullmatch(name)
    assert match, name
    side, layer, rest = match[1][0], match[2], match[3]
    if layer in _INSIDE:
        first, second = layer.split("_")
        return f"{first}_{side}_{second}{rest}"
    return f"{layer}_{'a' if match[1] == 'audio' else 'v'}{rest}"


def read(path: Path) -> dict[str, Tensor]:
    """A checkpoint's tensors by their names without prefixes. Nothing in the file is executed.

    Raises:
        CheckpointError: If it is cut short, holds code or anything but tensors.
    """
    try:
        state: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(path, f"a file that holds more than tensors, or is none ({_first_line(error)})") from None
    except (RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(path, f"a file that cannot be read ({_first_line(error)})") from None
    if not isinstance(state, Mapping):
        raise CheckpointError(path, f"a {type(state).__name__}")
    if not state or not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()):
        raise CheckpointError(path, "a mapping of something else than names to tensors")
    return {_bare(str(name)): tensor for name, tensor in state.items()}


def load(path: Path, config: EquiAVConfig = PUBLISHED) -> tuple[EquiAV, Report]:
    """The network of a published checkpoint, in evaluation mode, and what was used.

    Raises:
        CheckpointError: If the file cannot be read, lacks or misshapes a layer.
    """
    stored = read(path)
    with torch.device("meta"):
        net = EquiAV(config)
    wanted = {published_name(name): (name, value.shape) for name, value in net.state_dict().items()}
    known = {
        f"pos_embed_{side}": sin_cos_positions(config.width, *branch.grid)
        for side, branch in (("a", config.audio), ("v", config.video))
    }
    tensors = known | stored
    absent = [name for name in wanted if name not in tensors]
    if absent:
        raise CheckpointError(path, f"a file without {len(absent)} of {len(wanted)} entries, {absent[0]} for one")
    for name, (_, shape) in wanted.items():
        if tensors[name].shape != shape:
            raise CheckpointError(path, f"{name} of shape {tuple(tensors[name].shape)} instead of {tuple(shape)}")
    net.load_state_dict({ours: tensors[name].float() for name, (ours, _) in wanted.items()}, assign=True)
    ignored, unknown = _split(name for name in stored if name not in wanted)
    loaded = tuple(name for name in wanted if name in stored)
    return net.eval(), Report(loaded, ignored, unknown, tuple(name for name in known if name not in stored))


def _bare(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _split(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names that may be ignored, and the others."""
    ignored: list[str] = []
    unknown: list[str] = []
    for name in names:
        (ignored if any(re.match(pattern, name) for pattern in IGNORABLE) else unknown).append(name)
    return tuple(ignored), tuple(unknown)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Read a published EquiAV checkpoint; write it as safetensors.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path, help=".safetensors to write")
    args = parser.parse_args(argv)
    try:
        net, report = load(args.checkpoint)
    except CheckpointError as error:
        print(error, file=sys.stderr)
        return 1
    save_file({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, args.out)
    print(report)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
