import torch
from torch import Tensor

from kernels.contract import FLOATS, Impl, check_dtype, check_layout, check_shape, takes_triton
from kernels.errors import ShapeError
from kernels.log_mel.basis import MelBasis
from kernels.log_mel.reference import log_mel_reference


def log_mel(
    ring: Tensor,
    end: Tensor,
    basis: MelBasis,
    *,
    hop_samples: int,
    hops: int,
    floor_power: float,
    decades_per_unit: float,
    impl: Impl = "auto",
) -> Tensor:
    """The newest log-mel rows of many streams, each read from its own ring buffer.

    Row k of a stream is `log10(max(p, floor_power) / floor_power) / decades_per_unit`, p the filtered power spectrum of
    the window that ends at sample `end - (hops - 1 - k) * hop_samples`. Samples before the stream's first are silence.

    Args:
        ring: Ring buffers, one per stream, [S, N], float32, float16 or bfloat16, full scale -1 to 1: sample i of a
            stream lies at i modulo N, and the window of every row must still be there.
        end: Samples that each stream has had, [S], int64.
        basis: What `mel_basis` gave for this front end, on the device of `ring`.
        hop_samples: Distance between rows.
        hops: How many rows.
        floor_power: Band power that becomes 0.
        decades_per_unit: One unit of output is this many factors of ten in power.
        impl: "auto" takes Triton on CUDA tensors and the reference elsewhere.

    Returns:
        [S, hops, bands], float32, oldest row first. Inputs are not modified.

    Raises:
        ShapeError: If `end` does not fit `ring`, or a ring is too short for the windows of all rows.
        LayoutError: If a tensor is not contiguous, or devices differ.
        DtypeError: If a type is none of these.
        TritonUnavailableError: If Triton is wanted and cannot run.
    """
    _check(ring, end, basis, hop_samples, hops)
    rows = (hop_samples, hops, floor_power, decades_per_unit)
    if takes_triton(impl, ring):
        return _log_mel(ring, end, basis.fourier, basis.filters, basis.spans, basis.widest, *rows)
    return log_mel_reference(ring, end, basis.window, basis.filters, basis.fft_samples, *rows)


@torch.library.custom_op("visavis::log_mel", mutates_args=())
def _log_mel(
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
    from kernels.log_mel.kernel import launch

    return launch(ring, end, fourier, filters, spans, widest, hop_samples, hops, floor_power, decades_per_unit)


@_log_mel.register_fake
def _(
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
    return ring.new_empty(ring.shape[0], hops, filters.shape[1], dtype=torch.float32)


def _check(ring: Tensor, end: Tensor, basis: MelBasis, hop_samples: int, hops: int) -> None:
    check_shape("ring", ring, ("S", "N"))
    check_shape("end", end, (ring.shape[0],))
    need = len(basis.window) + (hops - 1) * hop_samples
    if hops < 1 or hop_samples < 1 or ring.shape[1] < need:
        raise ShapeError(
            f"a ring of {ring.shape[1]} samples for {hops} hops of {hop_samples}",
            f"at least 1 hop of 1 sample, and at least {need} samples",
        )
    check_dtype(FLOATS, ring=ring)
    check_dtype([torch.int64], end=end)
    check_layout(ring=ring, end=end, filters=basis.filters, fourier=basis.fourier)
