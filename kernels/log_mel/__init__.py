"""Log-mel rows of many streams at once, straight from their ring buffers."""

from kernels.log_mel.basis import MelBasis, mel_basis
from kernels.log_mel.op import log_mel
from kernels.log_mel.reference import log_mel_reference

__all__ = ["MelBasis", "log_mel", "log_mel_reference", "mel_basis"]
