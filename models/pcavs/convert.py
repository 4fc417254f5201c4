"""PC-AVS's published checkpoint: four files of plain state dicts, to our networks."""

from pathlib import Path
from typing import Final

from torch import nn

from models.blocks.fan import published_names
from models.checkpoint import Report, load_published, read_checkpoint, tensors_in
from models.errors import CheckpointError
from models.pcavs.config import PUBLISHED, PcavsConfig
from models.pcavs.networks import PcavsNetworks

NAMES: Final = {
    "G": {name: name for name in ("conv1", "to_rgb1", "convs", "to_rgbs", "noises")},
    "V": {name: name for name in ("model", "conv1x1")},
    "A_sync": {
        f"model.{name}": name for name in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "attention", "fc")
    },
    "E": {
        **{f"model.{theirs}": f"model.trunk.{ours}" for theirs, ours in published_names().items()},
        **{"model.bn5": "model.norm", "model.conv6": "model.conv", "model.fc": "model.fc"},
        **{name: name for name in ("to_mouth", "mouth_embed", "to_headpose", "headpose_embed")},
    },
}
"""Published names of modules to ours, by network. What is left out served the training, or (the generator's eight
`style` layers and its `input`) is never run."""


def convert(folder: Path, config: PcavsConfig = PUBLISHED) -> tuple[PcavsNetworks, Report]:
    """Read `latest_net_{G,V,A_sync,E}.pth`. None of them holds spectral norms: only the discriminator has these.

    Returns:
        The networks, and what was loaded, ignored and missing, each name led by its network's letter. The pose map is
        ours and not in the files, so it is always among the missing: until it is trained, head angles change nothing.

    Raises:
        CheckpointError: If a file is absent, damaged, holds code, or belongs to another system or size.
    """
    networks = PcavsNetworks(config)
    nn.init.zeros_(networks.pose_map.outer.weight)
    modules = {"G": networks.generator, "V": networks.identity, "A_sync": networks.audio, "E": networks.motion}
    report = Report(missing=tuple(f"pose_map.{name}" for name in networks.pose_map.state_dict()))
    for letter, module in modules.items():
        path = folder / f"latest_net_{letter}.pth"
        if not path.is_file():
            raise CheckpointError(f"{folder} without {path.name}", "the folder `checkpoints/demo` with its four files")
        one = load_published(module, tensors_in(read_checkpoint(path)), NAMES[letter])
        if one.missing:
            raise CheckpointError(f"{path.name} without {one.missing[0]}", f"all tensors of PC-AVS's {letter}")
        report += Report(*(tuple(f"{letter}.{name}" for name in names) for names in (one.loaded, one.ignored)))
    return networks.eval(), report
