# pyright: basic, reportArgumentType=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's parameters are typed as what the compiled code sees, not as what the caller hands over.
import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.log_mel.basis import BANDS_PER_BLOCK

_ROWS = 16  # the fewest that tl.dot takes
_BINS = 32
_SAMPLES = 32


def launch(
    ring: Tensor,
    end: Tensor,
    fourier: Tensor,
    filters: Tensor,
    spans: Tensor,
    widest: int,
    hop_samples: int,
    hops: int,
    floor_power: float,
    decades_per_unit: float,
) -> Tensor:
    """`log_mel` of checked tensors."""
    streams, bands = ring.shape[0], filters.shape[1]
    out = ring.new_empty(streams, hops, bands, dtype=torch.float32)
    grid = (triton.cdiv(streams * hops, _ROWS), len(spans))
    with torch.cuda.device_of(ring):
        _log_mel_kernel[grid](
            ring,
            end,
            fourier,
            filters,
            spans,
            out,
            streams * hops,
            ring.shape[1],
            hop_samples,
            hops,
            bands,
            1.0 / floor_power,
            math.log10(2.0) / decades_per_unit,
            WINDOW=fourier.shape[1],
            ALL_BINS=fourier.shape[2],
            BIN_BLOCKS=triton.cdiv(widest, _BINS),
            ROWS=_ROWS,
            BINS=_BINS,
            SAMPLES=_SAMPLES,
            BANDS=BANDS_PER_BLOCK,
        )
    return out


@triton.jit
def _log_mel_kernel(
    ring_ptr,
    end_ptr,
    fourier_ptr,
    filters_ptr,
    spans_ptr,
    out_ptr,
    rows,
    ring_samples,
    hop_samples,
    hops,
    bands,
    gain,
    units_per_octave,
    WINDOW: tl.constexpr,
    ALL_BINS: tl.constexpr,
    BIN_BLOCKS: tl.constexpr,
    ROWS: tl.constexpr,
    BINS: tl.constexpr,
    SAMPLES: tl.constexpr,
    BANDS: tl.constexpr,
):
    # rows are hops of all streams in turn; a block of bands hears few of the bins, and only those are worked out
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    live = row < rows
    stream = (row // hops).to(tl.int64)
    ago = (hops - 1 - row % hops) * hop_samples
    start = tl.load(end_ptr + stream, mask=live, other=0) - ago - WINDOW  # [ROWS] int64
    band = tl.program_id(1) * BANDS + tl.arange(0, BANDS)
    first_bin = tl.load(spans_ptr + 2 * tl.program_id(1))
    end_bin = tl.load(spans_ptr + 2 * tl.program_id(1) + 1)

    total = tl.zeros([ROWS, BANDS], tl.float32)
    for block in range(BIN_BLOCKS):
        bin = first_bin + block * BINS + tl.arange(0, BINS)
        real = tl.zeros([ROWS, BINS], tl.float32)
        imaginary = tl.zeros([ROWS, BINS], tl.float32)
        for first in range(0, WINDOW, SAMPLES):
            into = first + tl.arange(0, SAMPLES)
            sample = start[:, None] + into[None, :]
            heard = live[:, None] & (into < WINDOW)[None, :] & (sample >= 0)
            at = stream[:, None] * ring_samples + tl.where(heard, sample, 0) % ring_samples
            sound = tl.load(ring_ptr + at, mask=heard, other=0.0).to(tl.float32)  # [ROWS, SAMPLES]
            wave_at = into[:, None] * ALL_BINS + bin[None, :]
            there = (into < WINDOW)[:, None] & (bin < end_bin)[None, :]
            cosine = tl.load(fourier_ptr + wave_at, mask=there, other=0.0)
            sine = tl.load(fourier_ptr + WINDOW * ALL_BINS + wave_at, mask=there, other=0.0)
            # full float32: power spans nine decades
            real = tl.dot(sound, cosine, real, input_precision="ieee")
            imaginary = tl.dot(sound, sine, imaginary, input_precision="ieee")
        power = real * real + imaginary * imaginary
        there = (bin < end_bin)[:, None] & (band < bands)[None, :]
        weight = tl.load(filters_ptr + bin[:, None] * bands + band[None, :], mask=there, other=0.0)
        total = tl.dot(power, weight, total, input_precision="ieee")

    level = tl.log2(tl.maximum(total * gain, 1.0)) * units_per_octave
    at = row.to(tl.int64)[:, None] * bands + band[None, :]
    tl.store(out_ptr + at, level, mask=live[:, None] & (band < bands)[None, :])
