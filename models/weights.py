"""A system's own file of weights: safetensors with the system's name and the sizes of its networks in it."""

import dataclasses
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.errors import CheckpointError

C = TypeVar("C")


@dataclass(frozen=True)
class Weights:
    """What a file of weights holds.

    Attributes:
        system: Whose they are.
        config: Sizes of the networks: the fields of the system's own config, as JSON has them.
        notes: Whatever else its metadata says.
        tensors: By our names, float32 where they are numbers with a fraction.
    """

    system: str
    config: dict[str, Any]
    notes: dict[str, str]
    tensors: dict[str, Tensor]


def write_weights(
    path: Path, system: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any], notes: Mapping[str, str] = {}
) -> None:
    """Write a file of weights; what stood there stays until the new file is complete."""
    metadata = {**notes, "system": system, "config": json.dumps(config)}
    part = path.with_name(f".{path.name}.part")
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part, metadata)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_weights(path: Path, system: str) -> Weights:
    """Read what `write_weights` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is no such file, or one of another system.
    """
    want = f"weights of {system} that `visavis train` or `visavis convert` wrote"
    if not path.is_file():
        raise FileNotFoundError(f"no file of weights at {path}: want {want}")
    try:
        with safe_open(path, framework="pt") as file:
            notes = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise CheckpointError(f"{path.name}, which is no safetensors file or a damaged one", want) from error
    if "system" not in notes or "config" not in notes:
        raise CheckpointError(f"{path.name} without a system's name and sizes", want)
    if (got := notes.pop("system")) != system:
        raise CheckpointError(f"weights of {got}", want)
    wide = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    return Weights(system, json.loads(notes.pop("config")), notes, wide)


def config_from(kind: type[C], values: Mapping[str, Any]) -> C:
    """A config dataclass from its fields as JSON has them: lists become tuples, maps the dataclasses they stand for.

    Raises:
        CheckpointError: If the fields are those of another config.
    """
    hints = get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType] - a dataclass
    if set(values) != names:
        odd = ", ".join(sorted(set(values) ^ names))
        raise CheckpointError(f"sizes that differ in {odd}", f"those of {kind.__name__}")
    return kind(**{name: _typed(hints[name], value) for name, value in values.items()})


def _typed(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return config_from(hint, value)
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        inner = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_typed(one, item) for one, item in zip(inner, value, strict=True))
    if get_origin(hint) is types.UnionType:
        return value if value is None else _typed(get_args(hint)[0], value)
    return value
