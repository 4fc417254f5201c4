"""A generated crop pasted back into its photo, as the planar pixels that video encoders take."""

from kernels.composite_i420.op import composite_i420
from kernels.composite_i420.reference import composite_i420_reference

__all__ = ["composite_i420", "composite_i420_reference"]
