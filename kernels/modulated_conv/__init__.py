"""The convolution of style-based generators with all that follows it."""

from kernels.modulated_conv.op import ModulatedWeight, modulated_conv, pack_weight
from kernels.modulated_conv.reference import modulated_conv_reference

__all__ = ["ModulatedWeight", "modulated_conv", "modulated_conv_reference", "pack_weight"]
