"""Checkpoints that the authors of the systems published: read without running code from them, and renamed to ours."""

import pickle
import re
import struct
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from models.errors import CheckpointError

_COUNTER = "num_batches_tracked"
"""PyTorch before 0.4.1 did not save it, and nothing here reads it: a batch norm's momentum is always given."""


@dataclass(frozen=True)
class Report:
    """What became of a checkpoint's tensors.

    Attributes:
        loaded: Their names that found a place.
        ignored: Their names that have none here: heads of the training, optimiser states, layers that feed nothing.
        missing: Our names for which the checkpoint has nothing.
    """

    loaded: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def __add__(self, other: "Report") -> "Report":
        return Report(self.loaded + other.loaded, self.ignored + other.ignored, self.missing + other.missing)

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors loaded"]
        for label, names in (("ignored", self.ignored), ("missing", self.missing)):
            groups = sorted({name.partition(".")[0] for name in names})
            parts.append(f"{len(names)} {label}" + (f" ({', '.join(groups)})" if groups else ""))
        return ", ".join(parts)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a safetensors file or anything that `torch.save` has written since PyTorch 0.1.10, Python 2 included.

    Only tensors and plain containers are made; a pickle that names anything else is refused before it is called.

    Returns:
        What was saved, nested as saved, tensors on the CPU. Strings of Python 2 are read as latin-1.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file is damaged, cut off, holds code, or is no dict.
    """
    if path.suffix == ".safetensors":
        try:
            return dict(load_file(path))
        except SafetensorError as error:
            raise CheckpointError(f"{path.name}: {error}", "a complete safetensors file") from error
    try:
        with warnings.catch_warnings():
            # torch warns that it passes the encoding only to pickle; it does pass it to its own safe reader
            warnings.filterwarnings("ignore", message="pickle_load_args")
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            saved = torch.load(path, map_location="cpu", weights_only=True, encoding="latin-1")
    except FileNotFoundError:
        raise
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))  # what torch says besides is advice to switch the safety off
        holds = f"a call of {named[1]}" if named else "more than plain data"
        raise CheckpointError(f"{path.name} with {holds} in it", "one with nothing but tensors") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, struct.error, TypeError) as error:
        raise CheckpointError(f"{path.name}: {error}", "a complete file as `torch.save` writes it") from error
    if not isinstance(saved, dict):
        raise CheckpointError(f"{path.name}: a {type(saved).__name__}", "a dict of tensors")
    return saved


def tensors_in(saved: Mapping[Any, Any], prefix: str = "") -> dict[str, Tensor]:
    """All tensors of a nested dict by their dotted names, without the `module.` that DataParallel puts in front."""
    return dict(_walk(saved, prefix))


def _walk(saved: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Tensor]]:
    for key, value in saved.items():
        name = prefix + str(key).removeprefix("module.")
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Mapping):
            yield from _walk(value, f"{name}.")


def fold_spectral_norm(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace every `weight_orig`, `weight_u`, `weight_v` by the one `weight` that they stand for when not training.

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, section 2.1.
    """
    folded = {k: t for k, t in tensors.items() if not k.endswith((".weight_orig", ".weight_u", ".weight_v"))}
    for key, weight in tensors.items():
        if key.endswith(".weight_orig"):
            name = key.removesuffix("_orig")
            norm = tensors[f"{name}_u"] @ weight.flatten(1) @ tensors[f"{name}_v"]
            folded[name] = weight / norm
    return folded


def load_published(module: nn.Module, tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> Report:
    """Fill a module from tensors in somebody else's key layout, in place.

    Args:
        module: What to fill.
        tensors: By the published names.
        names: Published names of modules or tensors, to ours; the longest that fits counts.

    Returns:
        What was loaded, ignored and missing. Batch counters count as neither.

    Raises:
        CheckpointError: If a tensor has another shape than ours: it is of another system or size. Nothing is changed.
    """
    ours = module.state_dict()
    found = dict[str, Tensor]()
    loaded, ignored = list[str](), list[str]()
    for key, tensor in tensors.items():
        name = _renamed(key, names)
        if name is None or name not in ours:
            ignored.append(key)
            continue
        if tensor.shape != ours[name].shape:
            want = f"{tuple(ours[name].shape)}, as in the published configuration"
            raise CheckpointError(f"{key} of shape {tuple(tensor.shape)}", want)
        found[name] = tensor.to(ours[name].dtype)
        loaded.append(key)
    missing = [name for name in ours if name not in found and not name.endswith(_COUNTER)]
    module.load_state_dict(found, strict=False)
    return Report(tuple(loaded), tuple(ignored), tuple(missing))


def _renamed(key: str, names: Mapping[str, str]) -> str | None:
    """Our name for a published one, or None if the table does not know it."""
    for cut in range(len(key), 0, -1):
        if (cut == len(key) or key[cut] == ".") and key[:cut] in names:
            return names[key[:cut]] + key[cut:]
    return None
