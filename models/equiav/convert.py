"""The published EquiAV checkpoint (`model_*.pth` of pre-training) in our key layout.

The file is the state dict of a trainer that holds the network as `__M__` (specification 4.7). Its layers carry their
modality in their first name (`blocks_a.3...`, `norm_v_aug`); here each modality is a module of its own.
"""

import re
from pathlib import Path
from typing import Final

from models.checkpoint import Report, load_published, read_checkpoint, tensors_in
from models.equiav.config import PUBLISHED, EquiAVConfig
from models.equiav.network import EquiAV
from models.errors import CheckpointError

_TRAINER: Final = "__M__."
_POSITIONS: Final = ".pos_embed"
"""Computed, not learned: a checkpoint may lack them."""
_OURS: Final = re.compile(r"(audio|video)\.([a-z]+(?:_[a-z]+)*)(.*)")
_INSIDE: Final = frozenset({"norm_aug", "pred_inter", "pred_intra"})
"""Names that the published layout writes with the modality in the middle."""


def convert(path: Path, config: EquiAVConfig = PUBLISHED) -> tuple[EquiAV, Report]:
    """Read the network from a published checkpoint.

    Ignored are the norms of an earlier design that no forward pass uses, MAE's decoder and tokens, and the
    temperatures of the trainer's losses.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is damaged, unsafe, of another system or size, or lacks any learned tensor.
    """
    stored = {name.removeprefix(_TRAINER): tensor for name, tensor in tensors_in(read_checkpoint(path)).items()}
    net = EquiAV(config)
    report = load_published(net, stored, {published_name(name): name for name in net.state_dict()})
    lacking = [name for name in report.missing if not name.endswith(_POSITIONS)]
    if lacking:
        raise CheckpointError(
            f"{path.name} without {len(lacking)} tensors: {published_name(lacking[0])}", "an EquiAV checkpoint"
        )
    return net.eval(), report


def published_name(name: str) -> str:
    """The published name of an entry of `EquiAV.state_dict()`: `audio.norm_aug.bias` is `norm_a_aug.bias`."""
    match = _OURS.fullmatch(name)
    assert match, name
    side, layer, rest = match[1][0], match[2], match[3]
    if layer in _INSIDE:
        first, second = layer.split("_")
        return f"{first}_{side}_{second}{rest}"
    return f"{layer}_{side}{rest}"
