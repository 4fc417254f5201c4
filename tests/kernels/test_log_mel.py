import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.contract import FLOATS
from kernels.errors import DtypeError, LayoutError, ShapeError
from kernels.log_mel import MelBasis, log_mel, log_mel_reference, mel_basis
from models.audio import log_mel as front_end
from models.audio.log_mel import BANDS, DECADES_PER_UNIT, FFT_SAMPLES, FLOOR_POWER, HOP_SAMPLES, mel_filters
from tests.kernels.poison import poisoned

IMPLS = ("reference", "triton")
SCALE = {"floor_power": FLOOR_POWER, "decades_per_unit": DECADES_PER_UNIT}
ATOL = 2e-3  # of a unit of 40 dB: 0.08 dB, what float32 loses of bands near the floor beside loud ones


def house_basis(device: torch.device) -> MelBasis:
    window = torch.from_numpy((np.hanning(401)[:-1] * (4.0 / 400)).astype(np.float32))
    return mel_basis(window.to(device), torch.from_numpy(mel_filters()).to(device), FFT_SAMPLES)


def small_basis(device: torch.device, bands: int = 19) -> MelBasis:
    """An odd front end: 21 samples, 32-point transform, 17 bins."""
    random = torch.Generator().manual_seed(bands)
    filters = torch.rand(17, bands, generator=random) * (torch.rand(17, bands, generator=random) > 0.6)
    return mel_basis(torch.hann_window(21).to(device), filters.to(device), 32)


def wanted(ring: Tensor, end: Tensor, basis: MelBasis, hop: int, hops: int) -> Tensor:
    constants = basis.window.cpu().double(), basis.filters.cpu().double(), basis.fft_samples
    return log_mel_reference(ring.double(), end, *constants, hop, hops, FLOOR_POWER, DECADES_PER_UNIT)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_triton_matches_reference(dtype, device):
    torch.manual_seed(0)
    ring = (torch.randn(5, 57) * torch.logspace(-4, 0, 5)[:, None]).to(dtype)
    end = torch.tensor([0, 30, 57, 2**40 + 3, 1000])
    basis = small_basis(device)
    got = log_mel(poisoned(ring, device), end.to(device), basis, hop_samples=9, hops=5, impl="triton", **SCALE)
    torch.testing.assert_close(got.cpu().double(), wanted(ring, end, basis, 9, 5), rtol=0, atol=ATOL)


@settings(max_examples=15)
@given(
    streams=st.integers(1, 3),
    hop=st.integers(1, 11),
    hops=st.integers(1, 6),
    spare=st.integers(0, 9),
    bands=st.integers(1, 33),
    end=st.integers(0, 300),
)
def test_triton_matches_reference_at_any_size(streams, hop, hops, spare, bands, end, device):
    torch.manual_seed(hop)
    ring = torch.randn(streams, 21 + hop * (hops - 1) + spare)
    ends = end + torch.arange(streams)
    basis = small_basis(device, bands)
    got = log_mel(poisoned(ring, device), ends.to(device), basis, hop_samples=hop, hops=hops, impl="triton", **SCALE)
    torch.testing.assert_close(got.cpu().double(), wanted(ring, ends, basis, hop, hops), rtol=0, atol=ATOL)


@pytest.mark.parametrize("impl", IMPLS)
def test_a_ring_gives_the_rows_of_the_house_front_end(impl, device):
    random = np.random.default_rng(0)
    seconds = np.arange(16_000 // 5) / 16_000
    loud = 0.5 * np.sin(2 * np.pi * 440 * seconds) + 1e-4 * random.standard_normal(len(seconds))
    clips = [loud.astype(np.float32), (0.1 * random.standard_normal(1120)).astype(np.float32)]
    ring = torch.zeros(2, 997)
    for row, clip in zip(ring, clips, strict=True):
        for place, sample in enumerate(clip):
            row[place % 997] = float(sample)
    end = torch.tensor([len(clip) for clip in clips])
    got = log_mel(
        ring.to(device), end.to(device), house_basis(device), hop_samples=HOP_SAMPLES, hops=4, impl=impl, **SCALE
    )
    rows = torch.from_numpy(np.stack([front_end(clip)[-4:] for clip in clips]))
    assert got.shape == (2, 4, BANDS)
    torch.testing.assert_close(got.cpu(), rows, rtol=0, atol=ATOL)


@pytest.mark.parametrize("impl", IMPLS)
def test_before_the_first_sample_lies_silence(impl, device):
    ring = torch.ones(1, 60)  # left by whoever had the row before
    got = log_mel(
        ring.to(device),
        torch.tensor([0], device=device),
        small_basis(device),
        hop_samples=9,
        hops=3,
        impl=impl,
        **SCALE,
    )
    assert got.count_nonzero() == 0


def test_compiler_and_export_take_the_operator(device):
    basis = small_basis(device)
    ring, end = torch.randn(2, 40, device=device), torch.tensor([50, 7], device=device)
    constants = (basis.fourier, basis.filters, basis.spans, basis.widest)
    torch.library.opcheck(torch.ops.visavis.log_mel.default, (ring, end, *constants, 9, 2, 1e-9, 4.0))

    class Hear(torch.nn.Module):
        def forward(self, ring: Tensor, end: Tensor) -> Tensor:
            return log_mel(ring, end, basis, hop_samples=9, hops=2, impl="triton", **SCALE) + 1

    expected = log_mel(ring, end, basis, hop_samples=9, hops=2, impl="triton", **SCALE) + 1
    compiled = torch.compile(Hear(), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(ring, end), expected)
    torch.testing.assert_close(torch.export.export(Hear(), (ring, end)).module()(ring, end), expected)


def test_bad_input_is_refused():
    basis = small_basis(torch.device("cpu"))
    ring, end = torch.zeros(2, 40), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ShapeError, match=r"a ring of 40 samples for 4 hops of 9, want .* at least 48 samples"):
        log_mel(ring, end, basis, hop_samples=9, hops=4, **SCALE)
    with pytest.raises(ShapeError, match="end"):
        log_mel(ring, end[:1], basis, hop_samples=9, hops=1, **SCALE)
    with pytest.raises(LayoutError, match="ring with strides"):
        log_mel(ring.T.contiguous().T, end, basis, hop_samples=9, hops=1, **SCALE)
    with pytest.raises(DtypeError, match=r"end of torch.int32"):
        log_mel(ring, end.int(), basis, hop_samples=9, hops=1, **SCALE)
    with pytest.raises(ShapeError, match=r"filters \[17, 19\], want \[33, bands\]"):
        mel_basis(basis.window, basis.filters, 64)
    with pytest.raises(ShapeError, match=r"window \[21\], want \[16\]"):
        mel_basis(basis.window, basis.filters[:9], 16)
