import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.contract import FLOATS, Impl, check_dtype, check_layout, check_shape, takes_triton
from kernels.errors import ShapeError
from kernels.modulated_conv.reference import modulated_conv_reference


@dataclass(frozen=True)
class ModulatedWeight:
    """One layer's weights in the forms that the computation wants; `pack_weight` makes them.

    Attributes:
        weight: As trained, the runtime scale of equalised learning rates multiplied in, [C_out, C_in, K, K].
        taps: The same with the output channels last, [K * K, C_in, C_out].
        power: Sums of squares over the taps, [C_out, C_in], float32.
    """

    weight: Tensor
    taps: Tensor
    power: Tensor


def pack_weight(weight: Tensor) -> ModulatedWeight:
    """Work out what `modulated_conv` needs of a layer, once: [C_out, C_in, K, K], K 1 or 3.

    Raises:
        ShapeError: If the kernel is neither 1 x 1 nor 3 x 3.
        DtypeError: If the weights are not float32, float16 or bfloat16.
    """
    side = 1 if weight.shape[-1] == 1 else 3
    check_shape("weight", weight, ("C_out", "C_in", side, side))
    check_dtype(FLOATS, weight=weight)
    taps = weight.permute(2, 3, 1, 0).reshape(side * side, weight.shape[1], weight.shape[0]).contiguous()
    return ModulatedWeight(weight, taps, weight.float().square().sum((2, 3)))


def modulated_conv(
    x: Tensor,
    style: Tensor,
    weight: ModulatedWeight,
    *,
    bias: Tensor | None = None,
    noise: Tensor | None = None,
    demodulate: bool = True,
    up: bool = False,
    slope: float = 0.2,
    gain: float = math.sqrt(2.0),
    impl: Impl = "auto",
) -> Tensor:
    """Modulate, convolve, demodulate, add noise and bias, and bend: the layer of a style-based generator.

    Scaling the input by its style and the output by the reciprocal norm of the scaled weights is the same as giving
    each sample weights of its own, and needs none. Computes `gain * leaky_relu(scale * conv(x * style) + noise + bias)`
    with `scale = 1 / sqrt(sum over (weight * style)^2 + 1e-8)`.

    Args:
        x: Features, [B, C_in, H, W], float32, float16 or bfloat16.
        style: Factor of each input channel, [B, C_in], any of those types.
        weight: What `pack_weight` gave, in the type of `x`.
        bias: [C_out], any of those types.
        noise: Scaled by its strength, [B, 1, H', W'] or [1, 1, H', W'], any of those types.
        demodulate: Whether the output is scaled at all; to-RGB layers do not.
        up: Whether to double the size: a 3 x 3 transposed convolution of stride 2, then the filter (1, 3, 3, 1).
        slope: Of the leaky ReLU below 0; 1 bends nothing.
        gain: Factor after it.
        impl: "auto" takes Triton on CUDA tensors and the reference elsewhere. In float32 the kernel multiplies in TF32
            where `torch.backends.cudnn.allow_tf32` lets convolutions do so.

    Returns:
        [B, C_out, H', W'], type of `x`; H' and W' are H and W, doubled by `up`. Inputs are not modified.

    Raises:
        ShapeError: If two shapes disagree, or `up` meets a 1 x 1 kernel.
        LayoutError: If a tensor is not contiguous, or devices differ.
        DtypeError: If a type is none of these.
        TritonUnavailableError: If Triton is wanted and cannot run.

    Source:
        Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020: modulation and demodulation.
    """
    _check(x, style, weight, bias, noise, up)
    how = (demodulate, up, slope, gain)
    if takes_triton(impl, x):
        return _modulated_conv(x, style, weight.taps, weight.power, bias, noise, *how)
    return modulated_conv_reference(x, style, weight.weight, bias, noise, *how)


@torch.library.custom_op("visavis::modulated_conv", mutates_args=())
def _modulated_conv(
    x: Tensor,
    style: Tensor,
    taps: Tensor,
    power: Tensor,
    bias: Tensor | None,
    noise: Tensor | None,
    demodulate: bool,
    up: bool,
    slope: float,
    gain: float,
) -> Tensor:
    from kernels.modulated_conv.kernel import launch

    return launch(x, style, taps, power, bias, noise, demodulate, up, slope, gain)


@_modulated_conv.register_fake
def _(
    x: Tensor,
    style: Tensor,
    taps: Tensor,
    power: Tensor,
    bias: Tensor | None,
    noise: Tensor | None,
    demodulate: bool,
    up: bool,
    slope: float,
    gain: float,
) -> Tensor:
    factor = 2 if up else 1
    return x.new_empty(x.shape[0], taps.shape[2], factor * x.shape[2], factor * x.shape[3])


def _check(
    x: Tensor, style: Tensor, weight: ModulatedWeight, bias: Tensor | None, noise: Tensor | None, up: bool
) -> None:
    outs, ins = weight.weight.shape[:2]
    check_shape("x", x, ("B", ins, "H", "W"))
    batch, _, height, width = x.shape
    check_shape("style", style, (batch, ins))
    if up and weight.weight.shape[-1] == 1:
        raise ShapeError("up with a 1 x 1 kernel", "a 3 x 3 kernel")
    given = {"x": x, "style": style}
    if bias is not None:
        check_shape("bias", bias, (outs,))
        given["bias"] = bias
    if noise is not None:
        factor = 2 if up else 1
        check_shape("noise", noise, (1 if noise.shape[0] == 1 else batch, 1, factor * height, factor * width))
        given["noise"] = noise
    check_dtype(FLOATS, **given)
    check_dtype([x.dtype], weight=weight.taps)
    check_layout(**given, weight=weight.taps)
