"""Values of points added to a grid: the transpose of bilinear sampling."""

from kernels.splat.op import splat
from kernels.splat.reference import splat_reference

__all__ = ["splat", "splat_reference"]
