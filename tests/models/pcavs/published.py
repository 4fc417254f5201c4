"""PC-AVS in its published form: key layout with shapes, and the networks written out as functions of such tensors."""

import torch
import torch.nn.functional as F

from models.blocks.fan import FanConfig
from models.blocks.style_generator import GeneratorConfig
from models.pcavs.config import PcavsConfig

CLASSES = 5830

TINY = PcavsConfig(
    audio_widths=(8, 8, 16, 16),
    attention=5,
    identity_planes=(2, 2, 4, 4),
    identity_groups=2,
    motion=FanConfig(image_px=64, features=14, width=16, align_corners=False),
    pose=3,
    generator=GeneratorConfig(30, 2, (8, 8, 8, 8, 6, 4), constant_start=False, tanh=True),
    critic_width=4,
    pose_hidden=6,
)
"""As deep as published and as narrow as can be: 64 px faces."""


def _norm(name, channels):
    stats = {f"{name}.{k}": (channels,) for k in ("weight", "bias", "running_mean", "running_var")}
    return stats | {f"{name}.num_batches_tracked": ()}


def _conv(name, outputs, inputs, kernel, bias=False):
    one = {f"{name}.weight": (outputs, inputs, kernel, kernel)}
    return one | ({f"{name}.bias": (outputs,)} if bias else {})


def _linear(name, outputs, inputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def audio_layout(c):
    widths, out = c.audio_widths, c.motion.features
    keys = _conv("model.conv1", widths[0], 1, 3, bias=True) | _norm("model.bn1", widths[0])
    inputs = widths[0]
    for stage, (width, blocks) in enumerate(zip(widths, (3, 4, 6, 3), strict=True), 1):
        for i in range(blocks):
            b = f"model.layer{stage}.{i}"
            keys |= _conv(f"{b}.conv1", width, inputs, 3) | _norm(f"{b}.bn1", width)
            keys |= _conv(f"{b}.conv2", width, width, 3) | _norm(f"{b}.bn2", width)
            keys |= _linear(f"{b}.se.fc.0", width // 8, width) | _linear(f"{b}.se.fc.2", width, width // 8)
            if i == 0 and stage > 1:
                keys |= _conv(f"{b}.downsample.0", width, inputs, 1) | _norm(f"{b}.downsample.1", width)
            inputs = width
    flat = widths[3] * 10
    for name, o, i in (("0", c.attention, flat), ("3", flat, c.attention)):
        keys |= {f"model.attention.{name}.weight": (o, i, 1), f"model.attention.{name}.bias": (o,)}
    keys |= _norm("model.attention.2", c.attention)
    return keys | _linear("model.fc", out, flat) | _linear("fc", CLASSES, out)


def identity_layout(c):
    planes, groups = c.identity_planes, c.identity_groups
    keys = _conv("model.conv1", planes[0], 3, 7) | _norm("model.bn1", planes[0])
    inputs = planes[0]
    for stage, (width, blocks) in enumerate(zip(planes, (3, 4, 6, 3), strict=True), 1):
        for i in range(blocks):
            b, inner, outputs = f"model.layer{stage}.{i}", 2 * width, 4 * width
            keys |= _conv(f"{b}.conv1", inner, inputs, 1) | _norm(f"{b}.bn1", inner)
            keys |= _conv(f"{b}.conv2", inner, inner // groups, 3) | _norm(f"{b}.bn2", inner)
            keys |= _conv(f"{b}.conv3", outputs, inner, 1) | _norm(f"{b}.bn3", outputs)
            if i == 0:
                keys |= _conv(f"{b}.downsample.0", outputs, inputs, 1) | _norm(f"{b}.downsample.1", outputs)
            inputs = outputs
    keys |= _linear("model.fc", 1000, inputs) | _conv("conv1x1", c.generator.widths[0], inputs, 1, bias=True)
    return keys | _linear("fc", CLASSES, inputs)


def _pyramid_block(name, inputs, outputs):
    widths = (inputs, outputs // 2, outputs // 4, outputs // 4)
    keys = {}
    for i in range(3):
        keys |= _norm(f"{name}.bn{i + 1}", widths[i]) | _conv(f"{name}.conv{i + 1}", widths[i + 1], widths[i], 3)
    if inputs != outputs:
        keys |= _norm(f"{name}.downsample.0", inputs) | _conv(f"{name}.downsample.2", outputs, inputs, 1)
    return keys


def motion_layout(c):
    fan, w = c.motion, c.motion.width
    keys = _conv("model.conv1", w // 4, 3, 7, bias=True) | _norm("model.bn1", w // 4)
    keys |= _pyramid_block("model.conv2", w // 4, w // 2) | _pyramid_block("model.conv3", w // 2, w // 2)
    keys |= _pyramid_block("model.conv4", w // 2, w) | _pyramid_block("model.top_m_0", w, w)
    for block in ("b2_plus_1", *(f"b{n}_{level}" for n in (1, 2, 3) for level in (1, 2, 3, 4))):
        keys |= _pyramid_block(f"model.m0.{block}", w, w)
    keys |= _conv("model.conv_last0", w, w, 1, bias=True) | _norm("model.bn_end0", w)
    keys |= _conv("model.l0", fan.maps, w, 1, bias=True) | _norm("model.bn5", fan.maps)
    keys |= _conv("model.conv6", 1, fan.maps, 3, bias=True)
    keys |= _linear("model.fc", fan.features, (fan.image_px // 8) ** 2)
    for name in ("to_mouth", "to_headpose", "classifier"):
        last = CLASSES if name == "classifier" else fan.features
        keys |= _linear(f"{name}.0", fan.features, fan.features) | _linear(f"{name}.2", last, fan.features)
    keys |= _linear("mouth_embed.1", c.mouth, fan.features) | _linear("headpose_embed.1", c.pose, fan.features)
    return keys | _linear("mouth_fc.1", CLASSES, fan.features) | _linear("headpose_fc.1", CLASSES, c.pose)


def generator_layout(c):
    g = c.generator

    def modulated(name, inputs, outputs, kernel):
        weight = {f"{name}.weight": (1, outputs, inputs, kernel, kernel)}
        return weight | _linear(f"{name}.modulation", inputs, g.style_dim)

    def styled(name, inputs, outputs, up=False):
        blur = {f"{name}.conv.blur.kernel": (4, 4)} if up else {}
        extra = {f"{name}.noise.weight": (1,), f"{name}.activate.bias": (1, outputs, 1, 1)}
        return modulated(f"{name}.conv", inputs, outputs, 3) | blur | extra

    keys = {"input.input": (1, g.widths[0], g.start_px, g.start_px)}
    for i in range(1, 9):
        keys |= _linear(f"style.{i}", g.style_dim, g.style_dim)
    keys |= styled("conv1", g.widths[0], g.widths[0])
    keys |= modulated("to_rgb1.conv", g.widths[0], 3, 1) | {"to_rgb1.bias": (1, 3, 1, 1)}
    keys |= {"noises.noise_0": (1, 1, g.start_px, g.start_px)}
    for i in range(len(g.widths) - 1):
        coarse, fine, side = g.widths[i], g.widths[i + 1], g.start_px * 2 ** (i + 1)
        keys |= styled(f"convs.{2 * i}", coarse, fine, up=True) | styled(f"convs.{2 * i + 1}", fine, fine)
        keys |= modulated(f"to_rgbs.{i}.conv", fine, 3, 1) | {f"to_rgbs.{i}.bias": (1, 3, 1, 1)}
        keys |= {f"to_rgbs.{i}.upsample.kernel": (4, 4)}
        keys |= {f"noises.noise_{layer}": (1, 1, side, side) for layer in (2 * i + 1, 2 * i + 2)}
    return keys


LAYOUTS = {"G": generator_layout, "V": identity_layout, "A_sync": audio_layout, "E": motion_layout}


def random_tensors(layout, seed):
    """Weights that keep activations in a sane range; running variances positive; the true low-pass."""
    random, low_pass = torch.Generator().manual_seed(seed), torch.tensor([1.0, 3.0, 3.0, 1.0])
    out = {}
    for name, shape in layout.items():
        if name.endswith("num_batches_tracked"):
            out[name] = torch.tensor(7)
        elif name.endswith(("blur.kernel", "upsample.kernel")):
            out[name] = torch.outer(low_pass, low_pass) / 16
        elif name.endswith("running_var"):
            out[name] = torch.rand(shape, generator=random) + 0.5
        elif len(shape) == 5 or "modulation" in name:
            out[name] = torch.randn(shape, generator=random)
        else:
            fan_in = max(1, torch.Size(shape[1:]).numel())
            out[name] = torch.randn(shape, generator=random) * (1.0 / fan_in) ** 0.5
    return out


def _batch_norm(t, name, x):
    shape = (1, -1) + (1,) * (x.dim() - 2)
    mean, var, gain, bias = (t[f"{name}.{k}"].view(shape) for k in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean) / (var + 1e-5).sqrt() * gain + bias


def _convolve(t, name, x, stride=1, padding=0, groups=1):
    return F.conv2d(x, t[f"{name}.weight"], t.get(f"{name}.bias"), stride, padding, groups=groups)


def _dense(t, name, x):
    return x @ t[f"{name}.weight"].t() + t[f"{name}.bias"]


def _blocks(t, stage):
    prefix = f"model.layer{stage}."
    return sorted({int(name[len(prefix) :].split(".")[0]) for name in t if name.startswith(prefix)})


def published_audio(t, mel):
    x = _batch_norm(t, "model.bn1", _convolve(t, "model.conv1", mel, 1, 1).relu())
    for stage in (1, 2, 3, 4):
        for i in _blocks(t, stage):
            b, stride = f"model.layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            y = _batch_norm(t, f"{b}.bn1", _convolve(t, f"{b}.conv1", x, stride, 1).relu())
            y = _batch_norm(t, f"{b}.bn2", _convolve(t, f"{b}.conv2", y, 1, 1))
            gate = _dense(t, f"{b}.se.fc.2", _dense(t, f"{b}.se.fc.0", y.mean((2, 3))).relu()).sigmoid()
            if f"{b}.downsample.0.weight" in t:
                x = _batch_norm(t, f"{b}.downsample.1", _convolve(t, f"{b}.downsample.0", x, stride))
            x = (y * gate[:, :, None, None] + x).relu()
    x = x.reshape(x.shape[0], -1, x.shape[-1])
    w = F.conv1d(x, t["model.attention.0.weight"], t["model.attention.0.bias"]).relu()
    w = F.conv1d(_batch_norm(t, "model.attention.2", w), t["model.attention.3.weight"], t["model.attention.3.bias"])
    return _dense(t, "model.fc", (x * w.softmax(2)).sum(2))


def published_identity(t, photo, groups, start_px):
    x = _batch_norm(t, "model.bn1", _convolve(t, "model.conv1", photo, 2, 3)).relu()
    x = F.max_pool2d(x, 3, 2, 1)
    for stage in (1, 2, 3, 4):
        for i in _blocks(t, stage):
            b, stride = f"model.layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            y = _batch_norm(t, f"{b}.bn1", _convolve(t, f"{b}.conv1", x)).relu()
            y = _batch_norm(t, f"{b}.bn2", _convolve(t, f"{b}.conv2", y, stride, 1, groups)).relu()
            y = _batch_norm(t, f"{b}.bn3", _convolve(t, f"{b}.conv3", y))
            if i == 0:
                x = _batch_norm(t, f"{b}.downsample.1", _convolve(t, f"{b}.downsample.0", x, stride))
            x = (y + x).relu()
    return x.mean((2, 3)), F.adaptive_avg_pool2d(_convolve(t, "conv1x1", x), (start_px, start_px))


def _published_pyramid_block(t, name, x):
    parts, y = [], x
    for i in (1, 2, 3):
        y = _convolve(t, f"{name}.conv{i}", _batch_norm(t, f"{name}.bn{i}", y).relu(), 1, 1)
        parts.append(y)
    if f"{name}.downsample.2.weight" in t:
        x = _convolve(t, f"{name}.downsample.2", _batch_norm(t, f"{name}.downsample.0", x).relu())
    return torch.cat(parts, 1) + x


def _published_hourglass(t, x, level):
    low = _published_pyramid_block(t, f"model.m0.b2_{level}", F.max_pool2d(x, 2, 2))
    inner = _published_hourglass(t, low, level - 1) if level > 1 else None
    low = _published_pyramid_block(t, "model.m0.b2_plus_1", low) if inner is None else inner
    low = _published_pyramid_block(t, f"model.m0.b3_{level}", low)
    up = F.interpolate(low, size=tuple(x.shape[2:]), mode="bilinear", align_corners=False)
    return _published_pyramid_block(t, f"model.m0.b1_{level}", x) + up


def published_motion(t, frame):
    """The mouth feature, its embedding, and the pose code."""
    x = _batch_norm(t, "model.bn1", _convolve(t, "model.conv1", frame, 2, 3)).relu()
    x = F.max_pool2d(_published_pyramid_block(t, "model.conv2", x), 2)
    x = _published_pyramid_block(t, "model.conv4", _published_pyramid_block(t, "model.conv3", x))
    x = _published_pyramid_block(t, "model.top_m_0", _published_hourglass(t, x, 4))
    x = _convolve(t, "model.l0", _batch_norm(t, "model.bn_end0", _convolve(t, "model.conv_last0", x)).relu())
    x = _convolve(t, "model.conv6", _batch_norm(t, "model.bn5", x).relu(), 2, 1).relu()
    feature = _dense(t, "model.fc", x.reshape(x.shape[0], -1))
    mouth, pose = (
        _dense(t, f"{head}.2", _dense(t, f"{head}.0", feature).relu()) for head in ("to_mouth", "to_headpose")
    )
    return mouth, published_embedding(t, mouth), _dense(t, "headpose_embed.1", pose.relu())


def published_embedding(t, mouth):
    return _dense(t, "mouth_embed.1", mouth.relu())
