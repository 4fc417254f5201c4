# pyright: basic, reportArgumentType=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's parameters are typed as what the compiled code sees, not as what the caller hands over.
import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.modulated_conv.reference import EPSILON

_PIXELS = 64
_INS = 32
_SMOOTHED = 256  # pixels that one program of the filter writes
_TYPES = {torch.float32: tl.float32, torch.float16: tl.float16, torch.bfloat16: tl.bfloat16}


def launch(
    x: Tensor,
    style: Tensor,
    taps: Tensor,
    power: Tensor,
    bias: Tensor | None,
    noise: Tensor | None,
    demodulate: bool,
    up: bool,
    slope: float,
    gain: float,
) -> Tensor:
    """`modulated_conv` of checked tensors."""
    batch, _, height, width = x.shape
    outs = taps.shape[2]
    style = style.float()
    scale = torch.rsqrt(style.square() @ power.T + EPSILON) if demodulate else style.new_ones(batch, outs)
    finish = (
        noise if noise is not None else x,
        bias if bias is not None else x,
        noise.stride(0) if noise is not None and noise.shape[0] > 1 else 0,
        slope,
        gain,
        noise is not None,
        bias is not None,
    )
    nothing = (x, x, 0, 1.0, 1.0, False, False)
    with torch.cuda.device_of(x):
        if not up:
            out = x.new_empty(batch, outs, height, width)
            _convolve(x, style, taps, scale, out, 1, (0, 0), finish)
            return out
        spread = x.new_empty(batch, outs, 2 * height + 1, 2 * width + 1)
        for phase in ((0, 0), (0, 1), (1, 0), (1, 1)):
            _convolve(x, style, taps, scale, spread, 2, phase, nothing)
        out = x.new_empty(batch, outs, 2 * height, 2 * width)
        grid = (triton.cdiv(4 * height * width, _SMOOTHED), outs, batch)
        _smooth_kernel[grid](spread, *finish[:5], out, outs, 2 * height, 2 * width, *finish[5:], PIXELS=_SMOOTHED)
    return out


def _convolve(
    x: Tensor,
    style: Tensor,
    taps: Tensor,
    scale: Tensor,
    out: Tensor,
    step: int,
    phase: tuple[int, int],
    finish: tuple[Tensor, Tensor, int, float, float, bool, bool],
) -> None:
    """Write the pixels `step * i + phase` of `out`; step 2 is a transposed convolution of stride 2."""
    batch, ins, height, width = x.shape
    outs = taps.shape[2]
    side = 1 if taps.shape[0] == 1 else 3
    rows, columns = ((total - start + step - 1) // step for total, start in zip(out.shape[2:], phase, strict=True))
    block = min(64, max(16, triton.next_power_of_2(outs)))
    # the interpreter multiplies the bit patterns of bfloat16
    product = tl.float32 if x.device.type == "cpu" else _TYPES[x.dtype]
    _convolve_kernel[(triton.cdiv(rows * columns, _PIXELS), triton.cdiv(outs, block), batch)](
        x,
        style,
        taps,
        scale,
        *finish[:5],
        out,
        height,
        width,
        out.shape[2],
        out.shape[3],
        rows,
        columns,
        *finish[5:],
        INS=ins,
        OUTS=outs,
        SIDE=side,
        STEP=step,
        PHASE_Y=phase[0],
        PHASE_X=phase[1],
        TAPS_Y=side if step == 1 else 2 - phase[0],
        TAPS_X=side if step == 1 else 2 - phase[1],
        PIXELS=_PIXELS,
        BLOCKS=triton.cdiv(ins, _INS),
        BLOCK_INS=_INS,
        BLOCK_OUTS=block,
        PRODUCT=product,
        PRECISION="tf32" if torch.backends.cudnn.allow_tf32 else "ieee",
    )


@triton.jit
def _convolve_kernel(
    x_ptr,
    style_ptr,
    taps_ptr,
    scale_ptr,
    noise_ptr,
    bias_ptr,
    noise_stride,
    slope,
    gain,
    out_ptr,
    height,
    width,
    out_height,
    out_width,
    rows,
    columns,
    NOISY: tl.constexpr,
    BIASED: tl.constexpr,
    INS: tl.constexpr,
    OUTS: tl.constexpr,
    SIDE: tl.constexpr,
    STEP: tl.constexpr,
    PHASE_Y: tl.constexpr,
    PHASE_X: tl.constexpr,
    TAPS_Y: tl.constexpr,
    TAPS_X: tl.constexpr,
    PIXELS: tl.constexpr,
    BLOCKS: tl.constexpr,
    BLOCK_INS: tl.constexpr,
    BLOCK_OUTS: tl.constexpr,
    PRODUCT: tl.constexpr,
    PRECISION: tl.constexpr,
):
    sample = tl.program_id(2).to(tl.int64)  # of the batch; addresses may pass 32 bits
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    live = pixel < rows * columns
    i = pixel // columns
    j = pixel % columns
    out_channel = tl.program_id(1) * BLOCK_OUTS + tl.arange(0, BLOCK_OUTS)
    wanted = out_channel < OUTS
    plane = height * width
    x_ptr += sample * INS * plane
    style_ptr += sample * INS

    total = tl.zeros([PIXELS, BLOCK_OUTS], tl.float32)
    for turn in range(TAPS_Y * TAPS_X * BLOCKS):  # one loop for taps and channels: one pipeline, little code
        tap_y = turn // (TAPS_X * BLOCKS)
        tap_x = turn // BLOCKS % TAPS_X
        channel = turn % BLOCKS * BLOCK_INS + tl.arange(0, BLOCK_INS)
        if STEP == 1:
            y = i + tap_y - SIDE // 2
            x = j + tap_x - SIDE // 2
            tap = tap_y * SIDE + tap_x
        else:  # only every second tap of a transposed convolution meets a sample
            y = i - tap_y
            x = j - tap_x
            tap = (PHASE_Y + 2 * tap_y) * SIDE + PHASE_X + 2 * tap_x
        inside = live & (y >= 0) & (y < height) & (x >= 0) & (x < width)
        there = channel < INS
        factor = tl.load(style_ptr + channel, mask=there, other=0.0)
        value = tl.load(
            x_ptr + channel[None, :] * plane + (y * width + x)[:, None],
            mask=inside[:, None] & there[None, :],
            other=0.0,
        )
        value = value.to(tl.float32) * factor[None, :]  # [PIXELS, BLOCK_INS]
        weight = tl.load(
            taps_ptr + (tap * INS + channel)[:, None] * OUTS + out_channel[None, :],
            mask=there[:, None] & wanted[None, :],
            other=0.0,
        )
        total = tl.dot(value.to(PRODUCT), weight.to(PRODUCT), total, input_precision=PRECISION)

    scale = tl.load(scale_ptr + sample * OUTS + out_channel, mask=wanted, other=0.0)
    total *= scale[None, :]
    at = (STEP * i + PHASE_Y) * out_width + STEP * j + PHASE_X
    if NOISY:
        noise = tl.load(noise_ptr + sample * noise_stride + at, mask=live, other=0.0).to(tl.float32)
        total += noise[:, None]
    if BIASED:
        bias = tl.load(bias_ptr + out_channel, mask=wanted, other=0.0).to(tl.float32)
        total += bias[None, :]
    total = tl.where(total < 0.0, total * slope, total) * gain
    out_at = (sample * OUTS + out_channel)[None, :] * (out_height * out_width) + at[:, None]
    tl.store(out_ptr + out_at, total.to(out_ptr.dtype.element_ty), mask=live[:, None] & wanted[None, :])


@triton.jit
def _smooth_kernel(
    spread_ptr,
    noise_ptr,
    bias_ptr,
    noise_stride,
    slope,
    gain,
    out_ptr,
    outs,
    height,
    width,
    NOISY: tl.constexpr,
    BIASED: tl.constexpr,
    PIXELS: tl.constexpr,
):
    sample = tl.program_id(2).to(tl.int64)
    image = sample * outs + tl.program_id(1)
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    live = pixel < height * width
    spread_ptr += image * (height + 1) * (width + 1)
    total = tl.zeros([PIXELS], tl.float32)
    for tap_y in tl.static_range(4):
        for tap_x in tl.static_range(4):
            y = pixel // width + tap_y - 1
            x = pixel % width + tap_x - 1
            inside = live & (y >= 0) & (y <= height) & (x >= 0) & (x <= width)
            value = tl.load(spread_ptr + y * (width + 1) + x, mask=inside, other=0.0).to(tl.float32)
            fir_y = 0.25 if tap_y % 3 == 0 else 0.75
            fir_x = 0.25 if tap_x % 3 == 0 else 0.75
            total += value * (fir_y * fir_x)
    if NOISY:
        total += tl.load(noise_ptr + sample * noise_stride + pixel, mask=live, other=0.0).to(tl.float32)
    if BIASED:
        total += tl.load(bias_ptr + tl.program_id(1)).to(tl.float32)
    total = tl.where(total < 0.0, total * slope, total) * gain
    tl.store(out_ptr + image * height * width + pixel, total.to(out_ptr.dtype.element_ty), mask=live)
