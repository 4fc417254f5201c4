# pyright: basic, reportArgumentType=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's parameters are typed as what the compiled code sees, not as what the caller hands over.
import torch
import triton
import triton.language as tl
from torch import Tensor

_PIXELS = 256
_CHANNELS = 16  # that one program carries: positions and shares are worked out once for all of them


def launch(
    features: Tensor,
    flow: Tensor,
    occlusion: Tensor | None,
    background: Tensor | None,
    size: tuple[int, int],
    align_corners: bool,
    border: bool,
) -> Tensor:
    """`flow_warp` of checked tensors."""
    batch, channels, height, width = features.shape
    out = features.new_empty(batch, channels, *size)
    grid = (triton.cdiv(size[0] * size[1], _PIXELS), triton.cdiv(channels, _CHANNELS), batch)
    with torch.cuda.device_of(features):
        _flow_warp_kernel[grid](
            features,
            flow,
            occlusion if occlusion is not None else flow,
            background if background is not None else features,
            out,
            channels,
            height,
            width,
            flow.shape[2],
            flow.shape[3],
            size[0],
            size[1],
            ALIGN_CORNERS=align_corners,
            BORDER=border,
            OCCLUDED=occlusion is not None,
            BLENDED=background is not None,
            PIXELS=_PIXELS,
            CHANNELS=min(_CHANNELS, triton.next_power_of_2(channels)),
        )
    return out


@triton.jit
def _flow_warp_kernel(
    features_ptr,
    flow_ptr,
    occlusion_ptr,
    background_ptr,
    out_ptr,
    channels,
    height,
    width,
    flow_height,
    flow_width,
    out_height,
    out_width,
    ALIGN_CORNERS: tl.constexpr,
    BORDER: tl.constexpr,
    OCCLUDED: tl.constexpr,
    BLENDED: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    row = tl.program_id(2).to(tl.int64)  # of the batch; addresses may pass 32 bits
    first_channel = tl.program_id(1) * CHANNELS
    pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    live = pixel < out_height * out_width
    out_y = pixel // out_width
    out_x = pixel % out_width

    # the place in the coarse grid, as F.interpolate has it
    coarse_y = tl.maximum((out_y.to(tl.float32) + 0.5) * (flow_height / out_height) - 0.5, 0.0)
    coarse_x = tl.maximum((out_x.to(tl.float32) + 0.5) * (flow_width / out_width) - 0.5, 0.0)
    cell_y = tl.minimum(coarse_y.to(tl.int32), flow_height - 1)
    cell_x = tl.minimum(coarse_x.to(tl.int32), flow_width - 1)
    part_y = tl.minimum(coarse_y - cell_y, 1.0)
    part_x = tl.minimum(coarse_x - cell_x, 1.0)
    next_y = tl.minimum(cell_y + 1, flow_height - 1)
    next_x = tl.minimum(cell_x + 1, flow_width - 1)
    at_ul = cell_y * flow_width + cell_x
    at_ur = cell_y * flow_width + next_x
    at_ll = next_y * flow_width + cell_x
    at_lr = next_y * flow_width + next_x
    part_ul = (1.0 - part_y) * (1.0 - part_x)
    part_ur = (1.0 - part_y) * part_x
    part_ll = part_y * (1.0 - part_x)
    part_lr = part_y * part_x
    flow_plane = flow_height * flow_width
    flow_ptr += row * 2 * flow_plane
    x = _mix(flow_ptr, at_ul, at_ur, at_ll, at_lr, part_ul, part_ur, part_ll, part_lr, live, live, live, live)
    flow_ptr += flow_plane
    y = _mix(flow_ptr, at_ul, at_ur, at_ll, at_lr, part_ul, part_ur, part_ll, part_lr, live, live, live, live)
    if OCCLUDED:
        occlusion_ptr += row * flow_plane
        shown = _mix(
            occlusion_ptr, at_ul, at_ur, at_ll, at_lr, part_ul, part_ur, part_ll, part_lr, live, live, live, live
        )

    if ALIGN_CORNERS:
        x = (x + 1.0) * 0.5 * (width - 1)
        y = (y + 1.0) * 0.5 * (height - 1)
    else:
        x = ((x + 1.0) * width - 1.0) * 0.5
        y = ((y + 1.0) * height - 1.0) * 0.5
    if BORDER:
        x = tl.minimum(tl.maximum(x, 0.0), width - 1.0)
        y = tl.minimum(tl.maximum(y, 0.0), height - 1.0)
    else:  # what is farther than one pixel counts as nothing, and may not fit an integer
        x = tl.minimum(tl.maximum(x, -1.0), width + 0.0)
        y = tl.minimum(tl.maximum(y, -1.0), height + 0.0)
    low_x = tl.floor(x)
    low_y = tl.floor(y)
    share_x = x - low_x
    share_y = y - low_y
    left = low_x.to(tl.int32)
    upper = low_y.to(tl.int32)
    in_left = (left >= 0) & (left < width)
    in_right = left + 1 < width
    in_upper = (upper >= 0) & (upper < height)
    in_lower = upper + 1 < height
    at_ul = upper * width + left

    plane = height * width
    out_plane = out_height * out_width
    for step in range(CHANNELS):
        channel = first_channel + step
        here = live & (channel < channels)
        image = row * channels + channel
        value = _mix(
            features_ptr + image * plane,
            at_ul,
            at_ul + 1,
            at_ul + width,
            at_ul + width + 1,
            (1.0 - share_y) * (1.0 - share_x),
            (1.0 - share_y) * share_x,
            share_y * (1.0 - share_x),
            share_y * share_x,
            here & in_upper & in_left,
            here & in_upper & in_right,
            here & in_lower & in_left,
            here & in_lower & in_right,
        )
        at = image * out_plane + pixel
        if OCCLUDED:
            value = value * shown
        if BLENDED:
            under = tl.load(background_ptr + at, mask=here, other=0.0).to(tl.float32)
            value += (1.0 - shown) * under
        tl.store(out_ptr + at, value.to(out_ptr.dtype.element_ty), mask=here)


@triton.jit
def _mix(ptr, at_a, at_b, at_c, at_d, share_a, share_b, share_c, share_d, in_a, in_b, in_c, in_d):
    """Sum of four values by their shares; what is not `in` counts as 0."""
    mixed = share_a * tl.load(ptr + at_a, mask=in_a, other=0.0).to(tl.float32)
    mixed += share_b * tl.load(ptr + at_b, mask=in_b, other=0.0).to(tl.float32)
    mixed += share_c * tl.load(ptr + at_c, mask=in_c, other=0.0).to(tl.float32)
    return mixed + share_d * tl.load(ptr + at_d, mask=in_d, other=0.0).to(tl.float32)
