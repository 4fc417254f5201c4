"""Kernels: Triton against what one would run otherwise, and against copying the same bytes.

The forms: `eager`, torch's own operators one after the other (for the warp: interpolate, grid_sample, multiply, add);
`torch.compile` of the same; `one by one`, eager with a batch of one per session; where there is a well-known other way
to write it, that; `triton`, ours, on a GPU. They take turns. On a GPU a time is that of one call in a CUDA graph of
ten, by CUDA events: no launch from Python is in it, which flatters the forms with many operators.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.cuda_clock import sampler
from benchmarks.harness import Device, Latency, Row, latency_row, take_turns, value_row
from benchmarks.plan import Plan
from benchmarks.rivals import log_mel_stft, modulated_eager, modulated_grouped
from benchmarks.suite import Part
from kernels.composite_i420 import composite_i420
from kernels.contract import Impl
from kernels.flow_warp import flow_warp
from kernels.log_mel import MelBasis, log_mel, mel_basis
from kernels.modulated_conv import modulated_conv, pack_weight
from kernels.splat import splat
from models.audio.log_mel import (
    DECADES_PER_UNIT,
    FFT_SAMPLES,
    FLOOR_POWER,
    HOP_SAMPLES,
    HOPS_PER_FRAME,
    WINDOW_SAMPLES,
    mel_filters,
)

RING_SAMPLES: Final = 16_000
POINTS: Final = 8_761  # skin vertices of the house model's rig
LEAST_SPEEDUP: Final = 1.3
LEAST_OF_COPY_PERCENT: Final = 60.0
COPY: Final = "copy"
_NOT_A_NUMBER: Final = 1e9

Form = Callable[..., Tensor]


@dataclass(frozen=True)
class Case:
    """One operator on fixed inputs.

    Attributes:
        name: Of its rows.
        tensors: What it is called with, a row per session each.
        ours: The operator: the form to run first, then the tensors.
        apart: The most by which a value may differ from the reference.
        eager: The same from torch's own operators; None where the reference is just that.
        others: Further ways to write it.
        bytes: The fewest that must be read and written, where memory is what bounds it.
    """

    name: str
    tensors: tuple[Tensor, ...]
    ours: Form
    apart: float
    eager: Form | None = None
    others: Mapping[str, Form] = field(default_factory=dict[str, Form])
    bytes: int | None = None


def parts(plan: Plan) -> list[Part]:
    """A part for each operator and batch."""
    return [
        Part(f"{name}, batch {batch}", partial(_measured, make, batch, plan))
        for batch in plan.batches
        for name, make in _MAKERS.items()
    ]


def _measured(make: Callable[[int, Plan], Case], batch: int, plan: Plan) -> list[Row]:
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True  # the rivals get the fastest convolution that cuDNN finds
    with torch.device(plan.device):
        case = make(batch, plan)
    return rows(case, forms(case, batch, plan), plan)


def forms(case: Case, batch: int, plan: Plan) -> dict[str, Callable[[], Tensor]]:
    """Every way to compute the case on this machine."""
    eager = case.eager or partial(case.ours, "reference")
    ways: dict[str, Form] = {"eager": eager, **case.others}
    if plan.compiled:
        torch.compiler.reset()  # else the second batch size would be compiled for any size
        ways["torch.compile"] = torch.compile(eager, dynamic=False)
    if batch > 1:
        ways["one by one"] = partial(_one_by_one, eager)
    if plan.device == "cuda":
        ways["triton"] = partial(case.ours, "triton")
    return {name: partial(way, *case.tensors) for name, way in ways.items()}


def rows(case: Case, ways: Mapping[str, Callable[[], Tensor]], plan: Plan) -> list[Row]:
    """Compare every form with the reference and time those that agree; the others get a row that misses its limit."""
    wanted = case.ours("reference", *case.tensors).double()
    apart = {name: _apart(call(), wanted) for name, call in ways.items()}
    calls: dict[str, Callable[[], object]] = {name: call for name, call in ways.items() if apart[name] <= case.apart}
    if case.bytes is not None:
        calls[COPY] = _copy(case.bytes, plan.device)
    taken = take_turns({name: sampler(call, plan.device) for name, call in calls.items()}, plan.n)
    x: dict[str, Any] = {"device": plan.device}
    if case.bytes is not None:
        x |= {"x": float(case.bytes), "x_unit": "bytes"}
    timed = [latency_row("kernels", f"{case.name}, {name}", times, **x) for name, times in taken.items()]
    wrong = [
        value_row("kernels", f"{case.name}, {name} is not timed but wrong by", "", off, case.apart, device=plan.device)
        for name, off in apart.items()
        if name not in calls
    ]
    return timed + wrong + _promises(case, taken, plan.device)


def _apart(got: Tensor, wanted: Tensor) -> float:
    """The largest difference of a value; NaN counts as `_NOT_A_NUMBER`."""
    return float((got.double() - wanted).abs().nan_to_num(nan=_NOT_A_NUMBER).max())


def _promises(case: Case, taken: Mapping[str, Latency], device: Device) -> list[Row]:
    """What the project wants of a kernel, where ours ran."""
    if "triton" not in taken:
        return []
    ours_ms = taken["triton"].p50_ms
    found: list[Row] = []
    if "torch.compile" in taken:
        name, faster = f"{case.name}, torch.compile / triton", taken["torch.compile"].p50_ms / ours_ms
        found.append(value_row("kernels", name, "x", faster, LEAST_SPEEDUP, bound="least", device=device))
    if COPY in taken:
        name, share = f"{case.name}, of copy bandwidth", 100 * taken[COPY].p50_ms / ours_ms
        found.append(value_row("kernels", name, "%", share, LEAST_OF_COPY_PERCENT, bound="least", device=device))
    return found


def _one_by_one(way: Form, *tensors: Tensor) -> Tensor:
    return torch.cat([way(*(tensor[row : row + 1] for tensor in tensors)) for row in range(len(tensors[0]))])


def _copy(moved_bytes: int, device: Device) -> Callable[[], object]:
    """Reads half of that many bytes and writes them elsewhere."""
    source = torch.zeros(moved_bytes // 2, dtype=torch.uint8, device=device)
    return partial(torch.empty_like(source).copy_, source)


def _warp(channels: int, reduce: int, batch: int, plan: Plan) -> Case:
    """The way back of a face: a quarter of the resolution, a few pixels from the identity."""
    side = plan.side_px // reduce
    coarse = side // 4
    line = (torch.arange(coarse) * 2 + 1) / coarse - 1
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy")).expand(batch, -1, -1, -1)
    flow = (grid + 0.02 * torch.randn(batch, 2, coarse, coarse)).contiguous()
    features = torch.randn(batch, channels, side, side).to(plan.dtype)
    background, occlusion = features.flip(0), torch.rand(batch, 1, coarse, coarse).to(plan.dtype)

    def ours(impl: Impl, *tensors: Tensor) -> Tensor:
        return flow_warp(*tensors, impl=impl)

    return Case(
        f"flow_warp {channels} x {side} px, batch {batch}",
        (features, flow, occlusion, background),
        ours,
        apart=0.01,
        bytes=3 * features.nbytes + flow.nbytes + occlusion.nbytes,
    )


def _composite(batch: int, plan: Plan) -> Case:
    """A crop of half the side, a little turned, in the middle."""
    half = plan.side_px // 2
    photo = torch.randint(0, 256, (batch, 3, plan.side_px, plan.side_px), dtype=torch.uint8)
    crop = torch.rand(batch, 3, half, half).to(plan.dtype) * 2 - 1
    ramp = (torch.linspace(0, 1, half) * 8).clamp(max=1)
    feather = torch.minimum(ramp, ramp.flip(0))
    matte = torch.minimum(feather, feather[:, None])[None, None].to(plan.dtype)
    cosine, sine = math.cos(0.1), math.sin(0.1)
    shift = half / 2 * (1 - 2 * (cosine - sine)), half / 2 * (1 - 2 * (cosine + sine))
    to_crop = torch.tensor([[[cosine, -sine, shift[0]], [sine, cosine, shift[1]]]]).repeat(batch, 1, 1)

    def ours(impl: Impl, photo: Tensor, crop: Tensor, to_crop: Tensor) -> Tensor:
        return composite_i420(photo, crop, matte, to_crop, impl=impl)

    return Case(
        f"composite_i420 {plan.side_px} px, batch {batch}",
        (photo, crop, to_crop),
        ours,
        apart=1.0,
        bytes=photo.nbytes + crop.nbytes + matte.nbytes + photo.nbytes // 2,
    )


def _layer(ins: int, outs: int, kernel: int, reduce: int, batch: int, plan: Plan, *, up: bool = False) -> Case:
    side, dtype = plan.side_px // reduce, plan.dtype
    x, style = torch.randn(batch, ins, side, side).to(dtype), torch.rand(batch, ins) + 0.5
    weight = pack_weight((torch.randn(outs, ins, kernel, kernel) / (ins * kernel**2) ** 0.5).to(dtype))
    out_side = 2 * side if up else side
    noise, bias = torch.randn(1, 1, out_side, out_side).to(dtype), torch.randn(outs)
    plain = weight.weight
    last = plain.contiguous(memory_format=torch.channels_last)

    def ours(impl: Impl, x: Tensor, style: Tensor) -> Tensor:
        return modulated_conv(x, style, weight, bias=bias, noise=noise, up=up, impl=impl)

    def channels_last(x: Tensor, style: Tensor) -> Tensor:
        return modulated_eager(x.contiguous(memory_format=torch.channels_last), style, last, bias, noise, up=up)

    size = f"{ins} to {outs}, {kernel} x {kernel}{', up' if up else ''}, {out_side} px"
    return Case(
        f"modulated_conv {size}, batch {batch}",
        (x, style),
        ours,
        apart=0.1,  # values reach 8, and the rivals round each step to float16
        eager=partial(modulated_eager, weight=plain, bias=bias, noise=noise, up=up),
        others={
            "grouped convolution": partial(modulated_grouped, weight=plain, bias=bias, noise=noise, up=up),
            "channels-last": channels_last,
        },
        bytes=x.nbytes + batch * outs * out_side**2 * x.element_size() if kernel == 1 else None,
    )


def house_basis() -> MelBasis:
    """The house front end's constants on the default device."""
    window = torch.hann_window(WINDOW_SAMPLES) * (4 / WINDOW_SAMPLES)
    return mel_basis(window, torch.tensor(mel_filters()), FFT_SAMPLES)


def _mel(batch: int, plan: Plan) -> Case:
    """The four rows of one frame, of one second of sound."""
    basis = house_basis()

    def ours(impl: Impl, ring: Tensor, end: Tensor) -> Tensor:
        how = {"floor_power": FLOOR_POWER, "decades_per_unit": DECADES_PER_UNIT}
        return log_mel(ring, end, basis, hop_samples=HOP_SAMPLES, hops=HOPS_PER_FRAME, impl=impl, **how)

    def stft(ring: Tensor, end: Tensor) -> Tensor:
        bands = log_mel_stft(ring, end, basis.window, basis.filters, FFT_SAMPLES, HOP_SAMPLES, HOPS_PER_FRAME)
        return torch.log10(bands.clamp(min=FLOOR_POWER) / FLOOR_POWER) / DECADES_PER_UNIT

    return Case(
        f"log_mel of a frame, batch {batch}",
        (0.1 * torch.randn(batch, RING_SAMPLES), torch.arange(batch) * 997 + 50_000),
        ours,
        apart=2e-3,
        others={"torch.stft": stft},
    )


def _splat(batch: int, plan: Plan) -> Case:
    def ours(impl: Impl, position: Tensor, values: Tensor) -> Tensor:
        return splat(position, values, 128, 128, impl=impl)

    return Case(
        f"splat {POINTS} points, batch {batch}",
        (torch.rand(batch, POINTS, 2) * 130 - 1, torch.randn(batch, 5, POINTS)),
        ours,
        apart=1e-3,
    )


_MAKERS: Final[dict[str, Callable[[int, Plan], Case]]] = {
    "flow_warp of pixels": partial(_warp, 3, 1),
    "composite_i420": _composite,
    "flow_warp of features": partial(_warp, 64, 2),
    "modulated_conv 3 x 3": partial(_layer, 64, 64, 3, 2),
    "modulated_conv up": partial(_layer, 64, 32, 3, 2, up=True),
    "modulated_conv 1 x 1": partial(_layer, 32, 3, 1, 1),
    "splat": _splat,
    "log_mel": _mel,
}
