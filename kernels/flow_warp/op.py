from typing import Literal

import torch
from torch import Tensor

from kernels.contract import FLOATS, Impl, check_dtype, check_layout, check_shape, takes_triton
from kernels.errors import ShapeError
from kernels.flow_warp.reference import flow_warp_reference


def flow_warp(
    features: Tensor,
    flow: Tensor,
    occlusion: Tensor | None = None,
    background: Tensor | None = None,
    *,
    size: tuple[int, int] | None = None,
    align_corners: bool = False,
    padding: Literal["zeros", "border"] = "zeros",
    impl: Impl = "auto",
) -> Tensor:
    """Upsample a coarse flow, sample features where it points, hide what is occluded, and blend: one pass.

    Computes `shown * sample(features, up(flow)) + (1 - shown) * background` with `shown = up(occlusion)`, in float32.
    `up` is bilinear between cell centres (`F.interpolate` with `align_corners=False`); at equal size it does nothing.

    Args:
        features: What is carried, feature maps or pixels, [B, C, H, W], float32, float16 or bfloat16.
        flow: Where each cell comes from, [B, 2, h, w], any of those types, (x, y), -1 to 1 across `features`. In
            float16 a place is known to 1 part in 2048 only: keep positions in float32.
        occlusion: How much of the warped features shows, [B, 1, h, w], any of those types, 0 to 1; None shows all.
        background: What shows in their stead, [B, C, *size], type of `features`; only with `occlusion`. None is 0.
        size: Height and width of the output; None takes those of `features`.
        align_corners: Whether -1 and 1 are the centres of the outermost pixels (True) or their outer edges (False), as
            in `F.grid_sample`.
        padding: What lies beyond `features`: 0, or its border.
        impl: "auto" takes Triton on CUDA tensors and the reference elsewhere.

    Returns:
        [B, C, *size], type of `features`. Inputs are not modified.

    Raises:
        ShapeError: If two shapes disagree, or there is a background without an occlusion.
        LayoutError: If a tensor is not contiguous, or devices differ.
        DtypeError: If a type is none of these.
        TritonUnavailableError: If Triton is wanted and cannot run.
    """
    size = size or (features.shape[-2], features.shape[-1])
    _check(features, flow, occlusion, background, size)
    border = padding == "border"
    if takes_triton(impl, features):
        return _flow_warp(features, flow, occlusion, background, size[0], size[1], align_corners, border)
    return flow_warp_reference(features, flow, occlusion, background, size, align_corners, border)


@torch.library.custom_op("visavis::flow_warp", mutates_args=())
def _flow_warp(
    features: Tensor,
    flow: Tensor,
    occlusion: Tensor | None,
    background: Tensor | None,
    height: int,
    width: int,
    align_corners: bool,
    border: bool,
) -> Tensor:
    from kernels.flow_warp.kernel import launch

    return launch(features, flow, occlusion, background, (height, width), align_corners, border)


@_flow_warp.register_fake
def _(
    features: Tensor,
    flow: Tensor,
    occlusion: Tensor | None,
    background: Tensor | None,
    height: int,
    width: int,
    align_corners: bool,
    border: bool,
) -> Tensor:
    return features.new_empty(features.shape[0], features.shape[1], height, width)


def _check(
    features: Tensor, flow: Tensor, occlusion: Tensor | None, background: Tensor | None, size: tuple[int, int]
) -> None:
    check_shape("features", features, ("B", "C", "H", "W"))
    batch, channels = features.shape[:2]
    check_shape("flow", flow, (batch, 2, "h", "w"))
    given = {"features": features, "flow": flow}
    if min(size) < 1:
        raise ShapeError(f"size {size}", "at least (1, 1)")
    if occlusion is not None:
        check_shape("occlusion", occlusion, (batch, 1, *flow.shape[2:]))
        given["occlusion"] = occlusion
    check_dtype(FLOATS, **given)
    if background is not None:
        if occlusion is None:
            raise ShapeError("a background without an occlusion", "both: the occlusion says where it shows")
        check_shape("background", background, (batch, channels, *size))
        check_dtype([features.dtype], background=background)
        given["background"] = background
    check_layout(**given)
