"""The published DAVS checkpoint (`101_DAVS_checkpoint.pth.tar`, and those of its training) in our key layout."""

from pathlib import Path
from typing import Any, Final

from torch import nn

from models.blocks.fan import published_names
from models.checkpoint import Report, load_published, read_checkpoint, tensors_in
from models.davs.config import PUBLISHED, DavsConfig
from models.davs.critics import DavsCritics
from models.davs.networks import DavsNetworks
from models.errors import CheckpointError

NETWORKS: Final = {
    "ID_encoder": "identity",
    "mfcc_encoder": "audio",
    "lip_feature_encoder": "lips",
    "Decoder": "decoder",
}
"""Published names of the networks that draw, to ours."""
CRITICS: Final = {
    "model_fusion": "words",
    "discriminator_audio": "modality",
    "ID_lip_discriminator": "person_words",
    "netD_mul": "sequence",
}
"""Published names of what only checkpoints of a training hold, to ours."""


def convert(path: Path, config: DavsConfig = PUBLISHED) -> tuple[DavsNetworks, Report]:
    """Read the networks that draw from a published checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is damaged, unsafe, of another system or size, or lacks any part of these networks.
    """
    saved = read_checkpoint(path)
    if not NETWORKS.keys() <= saved.keys():
        raise CheckpointError(f"{path.name} with {_some(saved)}", f"a DAVS checkpoint with {', '.join(NETWORKS)}")
    networks = DavsNetworks(config)
    report = _fill(networks, saved, NETWORKS, config)
    if report.missing:
        raise CheckpointError(f"{path.name} without {len(report.missing)} tensors: {report.missing[0]}", "all of them")
    return networks.eval(), report


def convert_critics(path: Path, config: DavsConfig = PUBLISHED) -> tuple[DavsCritics, Report]:
    """Read what a training checkpoint holds of the classifiers and discriminators; the report says what it lacks.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is damaged, unsafe, or of another size.
    """
    critics = DavsCritics(config)
    return critics, _fill(critics, read_checkpoint(path), CRITICS, config)


def _fill(module: nn.Module, saved: dict[str, Any], parts: dict[str, str], config: DavsConfig) -> Report:
    tensors = tensors_in(saved)
    names = _names(config)
    table = {f"{theirs}.{a}": f"{ours}.{b}" for theirs, ours in parts.items() for a, b in names[theirs].items()}
    return load_published(module, tensors, table)


def _some(saved: dict[str, Any]) -> str:
    return ", ".join(str(key) for key in list(saved)[:5]) or "nothing"


def _names(config: DavsConfig) -> dict[str, dict[str, str]]:
    """Published module names to ours, by network."""
    square = {f"model1.{kind}{i}": f"square.{name}{i}" for kind, name in _LAYER for i in (1, 2, 3, 4)}
    tall = {f"model2.{kind}{i}": f"tall.{name}{i}" for kind, name in _LAYER for i in (1, 2, 3)}
    trunk = {f"model.{theirs}": f"trunk.{ours}" for theirs, ours in published_names(config.lips.depth).items()}
    return {
        "ID_encoder": _identity(config),
        "mfcc_encoder": square | tall | {"fc": "fc"},
        "lip_feature_encoder": trunk | {"bn1": "norm", "conv6": "conv", "fc": "fc"},
        "Decoder": _decoder(config),
        "model_fusion": {"fc_1": "fc1", "fc_2": "fc2"},
        "discriminator_audio": {"fc1": "fc1", "fc2": "fc2"},
        "ID_lip_discriminator": {"conv6": "conv", "fc": "fc1", "fc_2": "fc2"},
        "netD_mul": _sequence(),
    }


_LAYER: Final = (("conv", "conv"), ("bn", "norm"))


def _identity(config: DavsConfig) -> dict[str, str]:
    blocks = [("1", "01", "stem")]
    for stage, widths in enumerate(config.stages):
        blocks += [(f"{stage + 1}{i + 1}",) * 2 + (f"stages.{stage}.{i}",) for i in range(len(widths))]
    return {
        f"block{block}.conv{inner}_{side}{tail}": f"{ours}.{name}.{number}"
        for block, inner, ours in blocks
        for number, side in enumerate("ab")
        for tail, name in (("", "convs"), ("_bn", "norms"))
    }


def _decoder(config: DavsConfig) -> dict[str, str]:
    names = {"deconv1_1_new": "seed", "deconv1_1_bn": "seed_norm"}
    names |= {"conv7_1": "last1", "conv7_1_bn": "last1_norm", "conv7_2": "last2"}
    for number, (_, count) in enumerate(config.rounds):
        for i in range(count):
            theirs, ours = f"convblock{number + 1}.conv{number + 1}_{i}", f"rounds.{number}"
            names |= {theirs: f"{ours}.convs.{i}", f"{theirs}_bn": f"{ours}.norms.{i}"}
    return names


def _sequence() -> dict[str, str]:
    patch = {"conv1": "patch.0", "conv2_1": "patch.1", "conv2_2": "patch.2", "conv3": "patch.3", "conv4": "verdict"}
    norms = {"norm_1": "patch_norms.0", "norm_2": "patch_norms.1", "norm3": "patch_norms.2"}
    sound = {f"mfcc_{kind}{i + 1}": f"sound.{2 * i + j}" for i in range(4) for j, kind in enumerate(("conv", "bn"))}
    mouth = {"conv6": "mouth", "bn6": "mouth_norm", "conv9": "mouth_code", "fc": "match1", "fc2": "match2"}
    return patch | norms | sound | mouth
