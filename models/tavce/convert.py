"""Published TAVCE and SadTalker files in our key layout.

TAVCE's own are `exp/{audio2exp,audio2pose,facerender}/latest.pth` and `exp/correlation/last.pth`; SadTalker's are one
flat safetensors file and `mapping_*.pth.tar`. They may be mixed: what a file is, its keys tell.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from models.checkpoint import Report, fold_spectral_norm, load_published, read_checkpoint, tensors_in
from models.errors import CheckpointError
from models.tavce.config import PUBLISHED, TavceConfig
from models.tavce.correlation import MouthEncoder
from models.tavce.networks import TavceNetworks

_GATE: Final = ("generator.proj1.", "generator.proj2.", "generator.linear.")
_OPTIONAL: Final = (*_GATE, "sound.")
"""What TAVCE adds to SadTalker. Without it the renderer is SadTalker's."""


def convert(paths: Sequence[Path], config: TavceConfig = PUBLISHED) -> tuple[TavceNetworks, Report]:
    """Read the networks that draw from published files.

    If no file has the gate, it is made to change nothing, so that the renderer is SadTalker's.

    Raises:
        FileNotFoundError: If a file is not there.
        CheckpointError: If one is damaged, unsafe, of another system or size, or together they lack anything else.
    """
    found = dict[str, Tensor]()
    for path in paths:
        found |= _recognised(path)
    networks = TavceNetworks(config)
    report = load_published(networks, fold_spectral_norm(found), _names(config))
    lacking = [name for name in report.missing if not name.startswith(_OPTIONAL)]
    if lacking:
        want = "files that together hold expression, pose, key points, mapping and generator"
        raise CheckpointError(f"{len(lacking)} tensors too few, the first {lacking[0]}", want)
    gate = [name for name in report.missing if name.startswith(_GATE)]
    if gate:
        _neutral(networks)
    return networks.eval(), report


def convert_mouths(path: Path, config: TavceConfig = PUBLISHED) -> tuple[MouthEncoder, Report]:
    """Read the mouth encoder of `exp/correlation/last.pth`, for training.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is damaged, unsafe, of another size, or has no complete mouth encoder.
    """
    encoder = MouthEncoder(config)
    names = {f"mouth.{name}": name for name, _ in encoder.named_children()}
    report = load_published(encoder, _recognised(path), names)
    if report.missing:
        raise CheckpointError(f"{path.name} without {report.missing[0]}", "a correlation checkpoint")
    return encoder.eval(), report


def _recognised(path: Path) -> dict[str, Tensor]:
    """A file's tensors under one name each, whichever layout it has: `exp.`, `pose.`, `generator.`, `kp.`, ..."""
    saved = read_checkpoint(path)
    for fits, parts in _LAYOUTS:
        if fits(saved):
            tensors = tensors_in(saved)
            return {_prefixed(key, parts): tensor for key, tensor in tensors.items()}
    some = ", ".join(str(key) for key in list(saved)[:5]) or "nothing"
    raise CheckpointError(f"{path.name} with {some}", "a TAVCE or SadTalker file")


def _prefixed(key: str, parts: Mapping[str, str]) -> str:
    for theirs, ours in parts.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key


def _flat(saved: Mapping[str, Any]) -> bool:
    return any(key.startswith("kp_extractor.") for key in saved)


def _holds(*parts: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda saved: all(part in saved for part in parts)


_LAYOUTS: Final[tuple[tuple[Callable[[Mapping[str, Any]], bool], dict[str, str]], ...]] = (
    (_flat, {"audio2exp.": "exp.", "audio2pose.": "pose.", "kp_extractor.": "kp."}),
    (_holds("generator", "kp_detector", "mapping"), {"kp_detector.": "kp."}),
    (_holds("image_encoder", "audio_encoder"), {"audio_encoder.": "sound.", "image_encoder.": "mouth."}),
    (_holds("netG", "audio_encoder"), {"netG.": "pose.netG.", "audio_encoder.": "pose.audio_encoder."}),
    (_holds("netG"), {"netG.": "exp."}),
    (_holds("mapping"), {}),
)
"""How to tell a file, and what its parts are called; the first that fits counts."""


def _neutral(networks: TavceNetworks) -> None:
    generator = networks.generator
    with torch.no_grad():
        for layer in (generator.proj1, generator.proj2, generator.linear):
            for parameter in layer.parameters():
                parameter.zero_()
        nn.init.dirac_(generator.linear.weight)


def _names(config: TavceConfig) -> dict[str, str]:
    """Published names, as `_recognised` gives them, to ours."""
    names = {"exp.audio_encoder": "expression.audio_encoder", "exp.mapping1": "expression.mapping"}
    names |= {"sound.audio_encoder": "sound.audio_encoder", "sound.fc": "sound.fc"}
    heads = {"fc_yaw": "yaw", "fc_pitch": "pitch", "fc_roll": "roll", "fc_t": "shift", "fc_exp": "expression"}
    mapping = {"first.0": "first", **{f"encoder{i}.1": f"layers.{i}" for i in range(3)}, **heads}
    names |= {f"mapping.{theirs}": f"mapping.{ours}" for theirs, ours in mapping.items()}
    levels = range(config.detector[2])
    names |= {f"kp.predictor.{way}_blocks.{way}{i}": f"detector.{way}.{i}" for way in ("down", "up") for i in levels}
    names |= {"kp.predictor.conv": "detector.conv", "kp.kp": "detector.maps"}
    return names | _pose() | _generator(config)


def _pose() -> dict[str, str]:
    unet = {name: name for name in ("input_layer", "input_skip", "output_layer")}
    unet |= {"residual_conv_1": "down.0", "residual_conv_2": "down.1", "bridge": "down.2"}
    unet |= {f"upsample_{i + 1}.upsample": f"raise_.{i}" for i in range(3)}
    unet |= {f"up_residual_conv{i + 1}": f"up.{i}" for i in range(3)}
    inside = {"MLP.L0": "mlp.0", "MLP.L1": "mlp.2"} | {f"resunet.{a}": f"resunet.{b}" for a, b in unet.items()}
    inside |= {name: name for name in ("linear_means", "linear_audio", "pose_linear", "classbias")}
    names = {f"pose.netG.{half}.{a}": f"pose.{half}.{b}" for half in ("encoder", "decoder") for a, b in inside.items()}
    return names | {"pose.audio_encoder.audio_encoder": "pose.audio_encoder"}


def _generator(config: TavceConfig) -> dict[str, str]:
    names = {name: name for name in ("first", "second", "proj1", "proj2", "linear", "third", "fourth")}
    names |= {f"down_blocks.{i}": f"down.{i}" for i in range(2)}
    names |= {f"resblocks_3d.3dr{i}": f"volume.{i}" for i in range(config.volume_blocks)}
    motion = {name: name for name in ("compress", "norm", "mask", "occlusion")}
    for theirs, ours in (("encoder.down_blocks", "down"), ("decoder.up_blocks", "up")):
        motion |= {f"hourglass.{theirs}.{i}": f"hourglass.{ours}.{i}" for i in range(config.motion[2])}
    motion |= {f"hourglass.decoder.{part}": f"hourglass.last.{part}" for part in ("conv", "norm")}
    names |= {f"dense_motion_network.{theirs}": f"motion.{ours}" for theirs, ours in motion.items()}
    names |= {f"decoder.{name}": f"decoder.{name}" for name in ("fc", "conv_img")}
    blocks = {f"G_middle_{i}": f"middle.{i}" for i in range(config.spade_blocks)} | {"up_0": "up_0", "up_1": "up_1"}
    for theirs, ours in blocks.items():
        for side in ("0", "1", "s"):
            one, other = f"decoder.{theirs}", f"decoder.{ours}"
            names[f"{one}.conv_{side}"] = f"{other}.conv_{side}"
            for a, b in (("mlp_shared.0", "shared"), ("mlp_gamma", "gamma"), ("mlp_beta", "beta")):
                names[f"{one}.norm_{side}.{a}"] = f"{other}.norm_{side}.{b}"
    return {f"generator.{theirs}": f"generator.{ours}" for theirs, ours in names.items()}
