"""Kernels: Triton against torch eager and torch.compile of the same maths, and against copying the same bytes.

On a GPU a time is that of one call in a CUDA graph of ten, by CUDA events: no launch from Python is in it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor

from benchmarks.harness import Latency, Row, latency, latency_row, measure, value_row
from kernels.composite_i420 import composite_i420
from kernels.contract import Impl
from kernels.flow_warp import flow_warp
from kernels.log_mel import log_mel, mel_basis
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

SIDE_PX: Final = 512
BATCHES: Final = (1, 32)
RING_SAMPLES: Final = 16_000
POINTS: Final = 8_761  # skin vertices of the house model's rig
CALLS_PER_GRAPH: Final = 10


@dataclass(frozen=True)
class Case:
    """One operator on fixed inputs.

    Attributes:
        name: Of its rows.
        run: Calls the operator in the given form.
        apart: The most by which a value may differ from the reference.
        bytes: The fewest that must be read and written, where memory is what bounds it.
    """

    name: str
    run: Callable[[Impl], Tensor]
    apart: float
    bytes: int | None = None


def run(n: int = 100) -> list[Row]:
    """Rows of `n` timed samples each: batches of 1 and 32 in float16 on a GPU, one frame in float32 elsewhere.

    Raises:
        SystemExit: If a form disagrees with the reference: nothing of it is timed.
    """
    on_gpu = torch.cuda.is_available()
    device, dtype = torch.device("cuda" if on_gpu else "cpu"), torch.float16 if on_gpu else torch.float32
    return [
        row
        for batch in (BATCHES if on_gpu else (1,))
        for case in _cases(batch, device, dtype)
        for row in _rows(case, n)
    ]


def _rows(case: Case, n: int) -> list[Row]:
    on_gpu = torch.cuda.is_available()
    compiled = torch.compile(partial(case.run, "reference"))
    forms: dict[str, Callable[[], Tensor]] = {"eager": partial(case.run, "reference"), "torch.compile": compiled}
    if on_gpu:
        forms["triton"] = partial(case.run, "triton")
    _compare(case, forms)
    taken = {form: _time(call, n) for form, call in forms.items()}
    rows = [latency_row("kernels", f"{case.name}, {form}", times) for form, times in taken.items()]
    if on_gpu:
        faster = taken["torch.compile"].p50_ms / taken["triton"].p50_ms
        rows.append(value_row("kernels", f"{case.name}, torch.compile / triton", "x", faster))
        if case.bytes is not None:
            share = 100 * _copy_ms(case.bytes, n) / taken["triton"].p50_ms
            rows.append(value_row("kernels", f"{case.name}, of copy bandwidth", "%", share))
    return rows


def _compare(case: Case, forms: dict[str, Callable[[], Tensor]]) -> None:
    wanted = forms["eager"]().double()
    for form, call in forms.items():
        apart = float((call().double() - wanted).abs().max())
        if not apart <= case.apart:
            raise SystemExit(f"{case.name}: {form} is {apart:g} off, at most {case.apart:g}: not timed")


def _time(call: Callable[[], object], n: int) -> Latency:
    return _gpu_latency(call, n) if torch.cuda.is_available() else measure(call, n=n, warm_up=3)


def _gpu_latency(call: Callable[[], object], n: int) -> Latency:
    """Time on the device alone."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # allocations and compilations must be over before a capture
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(CALLS_PER_GRAPH):
            call()
    times_ms: list[float] = []
    for _ in range(n + 10):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times_ms.append(start.elapsed_time(end) / CALLS_PER_GRAPH)
    return latency(times_ms[10:])


def _copy_ms(moved_bytes: int, n: int) -> float:
    """Median time to read half of that many bytes and write them elsewhere."""
    source = torch.zeros(moved_bytes // 2, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return _time(partial(target.copy_, source), n).p50_ms


def _cases(batch: int, device: torch.device, dtype: torch.dtype) -> list[Case]:
    torch.manual_seed(0)
    with device:
        return [
            _warp(batch, 3, SIDE_PX, dtype),
            _warp(batch, 64, SIDE_PX // 2, dtype),
            _composite(batch, dtype),
            _layer(batch, 64, 64, 3, SIDE_PX // 2, up=False, dtype=dtype),
            _layer(batch, 64, 32, 3, SIDE_PX // 2, up=True, dtype=dtype),
            _layer(batch, 32, 3, 1, SIDE_PX, up=False, dtype=dtype),
            _mel(batch),
            _splat(batch),
        ]


def _warp(batch: int, channels: int, side: int, dtype: torch.dtype) -> Case:
    """The way back of a face: a quarter of the resolution, a few pixels from the identity."""
    coarse = side // 4
    line = (torch.arange(coarse) * 2 + 1) / coarse - 1
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy")).expand(batch, -1, -1, -1)
    flow = (grid + 0.02 * torch.randn(batch, 2, coarse, coarse)).contiguous()
    features = torch.randn(batch, channels, side, side).to(dtype)
    background, occlusion = features.flip(0), torch.rand(batch, 1, coarse, coarse).to(dtype)
    return Case(
        f"flow_warp {channels} x {side} px, batch {batch}",
        lambda impl: flow_warp(features, flow, occlusion, background, impl=impl),
        apart=0.01,
        bytes=3 * features.nbytes + flow.nbytes + occlusion.nbytes,
    )


def _composite(batch: int, dtype: torch.dtype) -> Case:
    """A crop of half the side, a little turned, in the middle."""
    half = SIDE_PX // 2
    photo = torch.randint(0, 256, (batch, 3, SIDE_PX, SIDE_PX), dtype=torch.uint8)
    crop = torch.rand(batch, 3, half, half).to(dtype) * 2 - 1
    ramp = (torch.linspace(0, 1, half) * 8).clamp(max=1)
    feather = torch.minimum(ramp, ramp.flip(0))
    matte = torch.minimum(feather, feather[:, None])[None, None].to(dtype)
    cosine, sine = math.cos(0.1), math.sin(0.1)
    shift = half / 2 * (1 - 2 * (cosine - sine)), half / 2 * (1 - 2 * (cosine + sine))
    to_crop = torch.tensor([[[cosine, -sine, shift[0]], [sine, cosine, shift[1]]]]).repeat(batch, 1, 1)
    return Case(
        f"composite_i420 {SIDE_PX} px, batch {batch}",
        lambda impl: composite_i420(photo, crop, matte, to_crop, impl=impl),
        apart=1.0,
        bytes=photo.nbytes + crop.nbytes + matte.nbytes + photo.nbytes // 2,
    )


def _layer(batch: int, ins: int, outs: int, kernel: int, side: int, *, up: bool, dtype: torch.dtype) -> Case:
    x, style = torch.randn(batch, ins, side, side).to(dtype), torch.rand(batch, ins) + 0.5
    weight = pack_weight((torch.randn(outs, ins, kernel, kernel) / (ins * kernel**2) ** 0.5).to(dtype))
    out_side = 2 * side if up else side
    noise, bias = torch.randn(1, 1, out_side, out_side).to(dtype), torch.randn(outs)
    size = f"{ins} to {outs}, {kernel} x {kernel}{', up' if up else ''}, {out_side} px"
    return Case(
        f"modulated_conv {size}, batch {batch}",
        lambda impl: modulated_conv(x, style, weight, bias=bias, noise=noise, up=up, impl=impl),
        apart=0.05,
        bytes=x.nbytes + batch * outs * out_side**2 * x.element_size() if kernel == 1 else None,
    )


def _mel(batch: int) -> Case:
    """The four rows of one frame, of one second of sound."""
    basis = mel_basis(
        torch.hann_window(WINDOW_SAMPLES) * (4 / WINDOW_SAMPLES), torch.tensor(mel_filters()), FFT_SAMPLES
    )
    ring, end = 0.1 * torch.randn(batch, RING_SAMPLES), torch.arange(batch) * 997 + 50_000
    return Case(
        f"log_mel of a frame, batch {batch}",
        lambda impl: log_mel(
            ring,
            end,
            basis,
            hop_samples=HOP_SAMPLES,
            hops=HOPS_PER_FRAME,
            floor_power=FLOOR_POWER,
            decades_per_unit=DECADES_PER_UNIT,
            impl=impl,
        ),
        apart=2e-3,
    )


def _splat(batch: int) -> Case:
    position, values = torch.rand(batch, POINTS, 2) * 130 - 1, torch.randn(batch, 5, POINTS)
    return Case(
        f"splat {POINTS} points, batch {batch}", lambda impl: splat(position, values, 128, 128, impl=impl), apart=1e-3
    )
