# pyright: basic, reportArgumentType=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# Triton's parameters are typed as what the compiled code sees, not as what the caller hands over.
import torch
import triton
import triton.language as tl
from torch import Tensor

_QUADS = 128


def launch(photo: Tensor, crop: Tensor, matte: Tensor, to_crop: Tensor) -> Tensor:
    """`composite_i420` of checked tensors."""
    batch, _, height, width = photo.shape
    out = photo.new_empty(batch, height * 3 // 2, width)
    grid = (triton.cdiv(height * width // 4, _QUADS), batch)
    matte_stride = 0 if matte.shape[0] == 1 else matte.stride(0)
    with torch.cuda.device_of(photo):
        _composite_i420_kernel[grid](
            photo, crop, matte, to_crop, out, height, width, crop.shape[2], crop.shape[3], matte_stride, QUADS=_QUADS
        )
    return out


@triton.jit
def _composite_i420_kernel(
    photo_ptr,
    crop_ptr,
    matte_ptr,
    to_crop_ptr,
    out_ptr,
    height,
    width,
    crop_height,
    crop_width,
    matte_stride,
    QUADS: tl.constexpr,
):
    row = tl.program_id(1).to(tl.int64)  # of the batch; addresses may pass 32 bits
    plane = height * width
    crop_plane = crop_height * crop_width
    photo_ptr += row * 3 * plane
    crop_ptr += row * 3 * crop_plane
    matte_ptr += row * matte_stride
    to_crop_ptr += row * 6
    out_ptr += row * (plane + plane // 2)

    quad = tl.program_id(0) * QUADS + tl.arange(0, QUADS)
    live_quad = quad < plane // 4
    # [2, QUADS, 2]: upper and lower row, quads, left and right column
    y = 2 * (quad // (width // 2))[None, :, None] + tl.arange(0, 2)[:, None, None]
    y = y + tl.zeros([2, QUADS, 2], tl.int32)
    x = 2 * (quad % (width // 2))[None, :, None] + tl.arange(0, 2)[None, None, :]
    x = x + tl.zeros([2, QUADS, 2], tl.int32)
    live = live_quad[None, :, None] & (x < width)
    pixel = y * width + x

    a = tl.load(to_crop_ptr)
    b = tl.load(to_crop_ptr + 1)
    c = tl.load(to_crop_ptr + 2)
    d = tl.load(to_crop_ptr + 3)
    e = tl.load(to_crop_ptr + 4)
    f = tl.load(to_crop_ptr + 5)
    at_x = a * x + b * y + c
    at_y = d * x + e * y + f
    # one pixel around the crop still holds all that has cover, and what is farther may not fit an integer
    touched = live & (at_x > -1.0) & (at_x < crop_width) & (at_y > -1.0) & (at_y < crop_height)
    at_x = tl.where(touched, at_x, 0.0)
    at_y = tl.where(touched, at_y, 0.0)
    low_x = tl.floor(at_x)
    low_y = tl.floor(at_y)
    share_x = at_x - low_x
    share_y = at_y - low_y
    left = low_x.to(tl.int32)
    upper = low_y.to(tl.int32)
    right = left + 1
    lower = upper + 1
    in_left = touched & (left >= 0)
    in_right = touched & (right < crop_width)
    in_upper = upper >= 0
    in_lower = lower < crop_height
    left = tl.maximum(left, 0)
    upper = tl.maximum(upper, 0)
    right = tl.minimum(right, crop_width - 1)
    lower = tl.minimum(lower, crop_height - 1)

    share_ul = (1.0 - share_x) * (1.0 - share_y)
    share_ur = share_x * (1.0 - share_y)
    share_ll = (1.0 - share_x) * share_y
    share_lr = share_x * share_y
    at_ul = upper * crop_width + left
    at_ur = upper * crop_width + right
    at_ll = lower * crop_width + left
    at_lr = lower * crop_width + right
    cover = share_ul * tl.load(matte_ptr + at_ul, mask=in_upper & in_left, other=0.0).to(tl.float32)
    cover += share_ur * tl.load(matte_ptr + at_ur, mask=in_upper & in_right, other=0.0).to(tl.float32)
    cover += share_ll * tl.load(matte_ptr + at_ll, mask=in_lower & in_left, other=0.0).to(tl.float32)
    cover += share_lr * tl.load(matte_ptr + at_lr, mask=in_lower & in_right, other=0.0).to(tl.float32)
    touched = touched & (cover != 0.0)  # most of a photo is not touched: its crop is not read

    luma = tl.zeros([2, QUADS, 2], tl.float32)
    blue = luma
    red = luma
    for channel in tl.static_range(3):
        base = crop_ptr + channel * crop_plane
        colour = share_ul * tl.load(base + at_ul, mask=touched, other=0.0).to(tl.float32)
        colour += share_ur * tl.load(base + at_ur, mask=touched, other=0.0).to(tl.float32)
        colour += share_ll * tl.load(base + at_ll, mask=touched, other=0.0).to(tl.float32)
        colour += share_lr * tl.load(base + at_lr, mask=touched, other=0.0).to(tl.float32)
        colour = tl.minimum(tl.maximum(colour, -1.0), 1.0)
        still = tl.load(photo_ptr + channel * plane + pixel, mask=live, other=0).to(tl.float32) * (2.0 / 255.0) - 1.0
        mixed = still + cover * (colour - still)
        mixed = tl.minimum(tl.maximum(mixed, -1.0), 1.0)
        if channel == 0:
            luma += 0.299 * mixed
            red = mixed
        elif channel == 1:
            luma += 0.587 * mixed
        else:
            luma += 0.114 * mixed
            blue = mixed

    code = tl.floor(126.0 + 109.5 * luma)  # 16 to 235, with the half of rounding
    tl.store(out_ptr + pixel, code.to(tl.uint8), mask=live)
    u = tl.sum(tl.sum(blue - luma, axis=2), axis=0) * (0.25 * 56.0 / 0.886)  # [QUADS]
    v = tl.sum(tl.sum(red - luma, axis=2), axis=0) * (0.25 * 56.0 / 0.701)
    tl.store(out_ptr + plane + quad, tl.floor(u + 128.5).to(tl.uint8), mask=live_quad)
    tl.store(out_ptr + plane + plane // 4 + quad, tl.floor(v + 128.5).to(tl.uint8), mask=live_quad)
