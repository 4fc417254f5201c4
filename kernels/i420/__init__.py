"""RGB frames to the planar pixels that video encoders take."""

from kernels.i420.op import rgb_to_i420
from kernels.i420.reference import rgb_to_i420_reference

__all__ = ["rgb_to_i420", "rgb_to_i420_reference"]
