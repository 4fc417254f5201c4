"""Features or pixels carried along a coarse flow."""

from kernels.flow_warp.op import flow_warp
from kernels.flow_warp.reference import flow_warp_reference

__all__ = ["flow_warp", "flow_warp_reference"]
