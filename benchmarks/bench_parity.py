"""Every kernel against its reference in float64, in every type, at odd sizes and at the size that is measured.

What `tests/kernels` checks with pytest, on a machine that has none. A row's value is the worst error as a share of what
is allowed: above 1 it is wrong.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import torch
from torch import Tensor

from benchmarks.bench_kernels import house_basis
from benchmarks.harness import Row, value_row
from benchmarks.plan import Plan
from benchmarks.suite import Part
from kernels.composite_i420 import composite_i420, composite_i420_reference
from kernels.contract import FLOATS, takes_triton
from kernels.flow_warp import flow_warp, flow_warp_reference
from kernels.log_mel import log_mel, log_mel_reference
from kernels.modulated_conv import modulated_conv, modulated_conv_reference, pack_weight
from kernels.splat import splat, splat_reference
from models.audio.log_mel import DECADES_PER_UNIT, FLOOR_POWER, HOP_SAMPLES, HOPS_PER_FRAME

Size = tuple[int, int]
Check = Callable[[int, Size, torch.dtype], float]

ODD: Final = (6, 14)
# relative and absolute error that rounding excuses, as in tests/kernels
_ROUNDED_ONCE: Final = {torch.float32: (1e-5, 1e-4), torch.float16: (1e-3, 1e-3), torch.bfloat16: (8e-3, 8e-3)}
_SUMMED: Final = {torch.float32: (1e-5, 2e-5), torch.float16: (4e-3, 4e-3), torch.bfloat16: (3e-2, 3e-2)}
_MEL_APART: Final = 2e-3
_TIES: Final = 2e-3  # share of pixels that may land on the other side of a .5
_SIDE_PX: Final = 64  # up to here; float32 knows a position to 1e-6 of a side, so on larger ones errors grow with it


def parts(plan: Plan) -> list[Part]:
    """A part for each kernel and type."""
    sizes = [(2, ODD)] + ([(1, (plan.side_px, plan.side_px))] if plan.device == "cuda" else [])
    return [
        Part(f"{name}, {_short(dtype)}", partial(_checked, f"{name}, {_short(dtype)}", check, sizes, dtype, plan))
        for name, check in CHECKS.items()
        for dtype in FLOATS
    ]


def _checked(name: str, check: Check, sizes: list[tuple[int, Size]], dtype: torch.dtype, plan: Plan) -> list[Row]:
    takes_triton("triton", torch.zeros(1, device=plan.device))  # raises where no kernel can run
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        torch.manual_seed(0)
        with torch.device(plan.device):
            worst = max(check(batch, size, dtype) for batch, size in sizes)
    finally:
        torch.backends.cudnn.allow_tf32 = before
    return [value_row("parity", name, "of allowed", worst, 1.0, device=plan.device)]


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _larger(size: Size) -> float:
    return max(1.0, max(size) / _SIDE_PX)


def share_of_allowed(got: Tensor, wanted: Tensor, relative: float, absolute: float) -> float:
    """The worst error of any value over what is allowed of it; infinite where a value is NaN."""
    share = (got.double() - wanted).abs() / (absolute + relative * wanted.abs())
    return float(share.nan_to_num(nan=torch.inf).max())


def _warp(batch: int, size: Size, dtype: torch.dtype) -> float:
    coarse = max(1, size[0] // 4), max(1, size[1] // 4)
    features = torch.randn(batch, 17, *size).to(dtype)
    flow = torch.rand(batch, 2, *coarse) * 2.6 - 1.3
    occlusion, background = torch.rand(batch, 1, *coarse).to(dtype), torch.randn(batch, 17, *size).to(dtype)
    a, b, c, d = (tensor.double() for tensor in (features, flow, occlusion, background))
    relative, absolute = _ROUNDED_ONCE[dtype]
    allowed = relative, absolute * _larger(size)
    worst = 0.0
    for align_corners in (False, True):
        got = flow_warp(features, flow, occlusion, background, align_corners=align_corners, impl="triton")
        wanted = flow_warp_reference(a, b, c, d, size, align_corners, False)
        worst = max(worst, share_of_allowed(got, wanted, *allowed))
    got = flow_warp(features, flow, padding="border", impl="triton")
    wanted = flow_warp_reference(a, b, None, None, size, False, True)
    return max(worst, share_of_allowed(got, wanted, *allowed))


def _layer(kernel: int, up: bool, batch: int, size: Size, dtype: torch.dtype) -> float:
    ins, outs, factor = 33, 5, 2 if up else 1
    x, style = torch.randn(batch, ins, *size).to(dtype), torch.rand(batch, ins) + 0.5
    weight = (torch.randn(outs, ins, kernel, kernel) / (ins * kernel**2) ** 0.5).to(dtype)
    bias, noise = torch.randn(outs), torch.randn(batch, 1, factor * size[0], factor * size[1]).to(dtype)
    got = modulated_conv(x, style, pack_weight(weight), bias=bias, noise=noise, up=up, impl="triton")
    a, b, c, d, e = (tensor.double() for tensor in (x, style, weight, bias, noise))
    wanted = modulated_conv_reference(a, b, c, d, e, True, up, 0.2, 2**0.5)
    return share_of_allowed(got, wanted, *_SUMMED[dtype])


def _composite(batch: int, size: Size, dtype: torch.dtype) -> float:
    half = size[0] // 2, size[1] // 2
    photo = torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8)
    crop, matte = torch.randn(batch, 3, *half).to(dtype), torch.rand(batch, 1, *half).to(dtype)
    to_crop = torch.tensor([[[0.7, -0.1, 1.5], [0.1, 0.7, -2.5]]]).repeat(batch, 1, 1)
    got = composite_i420(photo, crop, matte, to_crop, impl="triton")
    off = (got.int() - composite_i420_reference(photo, crop.double(), matte.double(), to_crop).int()).abs()
    ties = float((off > 0).sum()) / max(1.0, _TIES * _larger(size) * off.numel())
    return max(float(off.max()), ties)


def _mel(batch: int, size: Size, dtype: torch.dtype) -> float:
    basis = house_basis()
    ring = (0.1 * torch.randn(batch, 1000 + size[0])).to(dtype)
    end = torch.arange(batch) * 997 + 50_000
    how = {"floor_power": FLOOR_POWER, "decades_per_unit": DECADES_PER_UNIT}
    got = log_mel(ring, end, basis, hop_samples=HOP_SAMPLES, hops=HOPS_PER_FRAME, impl="triton", **how)
    window, filters = basis.window.double(), basis.filters.double()
    rows = (HOP_SAMPLES, HOPS_PER_FRAME, FLOOR_POWER, DECADES_PER_UNIT)
    wanted = log_mel_reference(ring.double(), end, window, filters, basis.fft_samples, *rows)
    return share_of_allowed(got, wanted, 0.0, _MEL_APART)


def _splat(batch: int, size: Size, dtype: torch.dtype) -> float:
    points = size[0] * size[1] // 2
    place = torch.rand(batch, points, 2) * (torch.tensor([size[1], size[0]]) + 4) - 2
    values = torch.randn(batch, 5, points).to(dtype)
    wanted = splat_reference(place.double(), values.double(), *size)
    return share_of_allowed(splat(place, values, *size, impl="triton"), wanted, *_ROUNDED_ONCE[dtype])


CHECKS: Final[dict[str, Check]] = {
    "flow_warp": _warp,
    "modulated_conv 3 x 3": partial(_layer, 3, False),
    "modulated_conv up": partial(_layer, 3, True),
    "modulated_conv 1 x 1": partial(_layer, 1, False),
    "composite_i420": _composite,
    "log_mel": _mel,
    "splat": _splat,
}
