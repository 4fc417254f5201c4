import torch
from torch import Tensor

from kernels.composite_i420.reference import composite_i420_reference
from kernels.contract import FLOATS, Impl, check_dtype, check_layout, check_shape, takes_triton
from kernels.errors import ShapeError


def composite_i420(photo: Tensor, crop: Tensor, matte: Tensor, to_crop: Tensor, *, impl: Impl = "auto") -> Tensor:
    """Paste a generated crop back into its photo and convert to planar YUV 4:2:0, BT.601 limited range.

    Every pixel of the photo asks the crop for its colour and the matte for its cover, both bilinearly:
    `photo + matte * (crop - photo)`, then as `kernels.i420.rgb_to_i420`, chroma in the middle of its 2 x 2 pixels.

    Args:
        photo: Frame to paint on, [B, 3, H, W], uint8, sRGB levels 0 to 255; H and W even.
        crop: Generator output, [B, 3, h, w], float32, float16 or bfloat16, -1 (black) to 1 (white), clamped after
            sampling; beyond its edge it goes on as at the edge.
        matte: Cover of the crop, [B, 1, h, w] or [1, 1, h, w], type of `crop`, 0 to 1; 0 beyond its edge, so its
            outermost pixels must be 0 where no seam may show.
        to_crop: Inverse affine map, [B, 2, 3], float32: takes (x, y, 1) of a photo pixel to (x, y) of the crop, in px;
            integers are pixel centres.
        impl: "auto" takes Triton on CUDA tensors and the reference elsewhere.

    Returns:
        [B, H * 3 / 2, W], uint8: Y, then U and V, as `rgb_to_i420` gives them. Inputs are not modified.

    Raises:
        ShapeError: If two shapes disagree, or a side of the photo is odd.
        LayoutError: If a tensor is not contiguous, or devices differ.
        DtypeError: If a type is none of these.
        TritonUnavailableError: If Triton is wanted and cannot run.

    Source:
        Porter and Duff, "Compositing Digital Images", SIGGRAPH 1984, operator "over"; ITU-R BT.601-7, sections 2.5.1
        to 2.5.3.
    """
    _check(photo, crop, matte, to_crop)
    if takes_triton(impl, photo):
        return _composite_i420(photo, crop, matte, to_crop)
    return composite_i420_reference(photo, crop, matte, to_crop)


@torch.library.custom_op("visavis::composite_i420", mutates_args=())
def _composite_i420(photo: Tensor, crop: Tensor, matte: Tensor, to_crop: Tensor) -> Tensor:
    from kernels.composite_i420.kernel import launch

    return launch(photo, crop, matte, to_crop)


@_composite_i420.register_fake
def _(photo: Tensor, crop: Tensor, matte: Tensor, to_crop: Tensor) -> Tensor:
    batch, _, height, width = photo.shape
    return photo.new_empty(batch, height * 3 // 2, width)


def _check(photo: Tensor, crop: Tensor, matte: Tensor, to_crop: Tensor) -> None:
    check_shape("photo", photo, ("B", 3, "H", "W"))
    batch, _, height, width = photo.shape
    if height % 2 or width % 2:
        raise ShapeError(f"photo {list(photo.shape)}", "even H and W")
    check_shape("crop", crop, (batch, 3, "h", "w"))
    check_shape("matte", matte, (1 if matte.shape[0] == 1 else batch, 1, crop.shape[2], crop.shape[3]))
    check_shape("to_crop", to_crop, (batch, 2, 3))
    check_dtype([torch.uint8], photo=photo)
    check_dtype(FLOATS, crop=crop)
    check_dtype([crop.dtype], matte=matte)
    check_dtype([torch.float32], to_crop=to_crop)
    check_layout(photo=photo, crop=crop, matte=matte, to_crop=to_crop)
