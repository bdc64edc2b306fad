"""What fits the block and the stem of UniRepLKNet, and what they cost; without torch."""

from __future__ import annotations

from typing import Any

from nas.spaces.signature import Signature
from nas_large_kernels import dilated_reparam_costs

SMALL_KERNEL = 5
"""The largest kernel that is a plain convolution in the block."""


def is_large(kernel: int) -> bool:
    """Whether a kernel has branches in the block."""
    return kernel > SMALL_KERNEL


def inner_channels(channels: int, ratio: float) -> int:
    """The channels between the two 1x1 convolutions, rounded down, one at least."""
    return max(1, int(channels * ratio))


def squeezed_channels(channels: int, se: float) -> int:
    """The channels inside the gate, rounded down, one at least; none where there is no gate."""
    return max(1, int(channels * se)) if se else 0


def stem_strides(stride: int) -> tuple[int, int]:
    """The strides of the two convolutions: the first takes a factor 2 of an even one, the second the rest."""
    first = 2 if stride % 2 == 0 else 1
    return first, stride // first


def stem_kernel(stride: int) -> int:
    """The side of a kernel whose patches overlap: 3 pixels up to a stride of 2."""
    return max(3, 2 * stride - 1)


def block_params(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    se: float,
    ratio: float,
    response_norm: bool,
    layer_scale: float,
    **knobs: Any,
) -> int:
    """The convolution in front where there is one, mixer, norm, gate, the 1x1 convolutions and the scale."""
    inside = signature.after(width, stride)
    channels, inner = inside.channels, inner_channels(inside.channels, ratio)
    squeezed = squeezed_channels(channels, se)
    front = 0 if inside == signature else signature.channels * channels * (2 * stride - 1) ** 2 + 3 * channels
    sides = dilated_reparam_costs.kernels(kernel) if is_large(kernel) else []
    mixer = channels * (sum(side**2 + 2 for side in sides) if sides else kernel**2)
    norm = 2 * channels
    gate = 2 * channels * squeezed + squeezed + channels if squeezed else 0
    pointwise = 2 * channels * inner + inner + 2 * channels
    return front + mixer + norm + gate + pointwise + 2 * inner * response_norm + channels * bool(layer_scale)


def block_macs(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    se: float,
    ratio: float,
    **knobs: Any,
) -> int:
    """The convolution in front where there is one, one depthwise and two 1x1 convolutions, the gate."""
    inside = signature.after(width, stride)
    height, breadth = inside.size
    channels, inner = inside.channels, inner_channels(inside.channels, ratio)
    front = 0 if inside == signature else signature.channels * channels * (2 * stride - 1) ** 2
    mixer = dilated_reparam_costs.macs(inside, None, 1, kernel=kernel)
    gate = 2 * channels * squeezed_channels(channels, se)
    return height * breadth * (front + 2 * channels * inner) + mixer + gate


def stem_params(signature: Signature, width: int | None, stride: int) -> int:
    """Two convolutions, each with a bias and the gain and bias of a norm."""
    convolutions = _stem_convolutions(signature, width, stride)
    return sum(outputs * (inputs * side**2 + 3) for inputs, outputs, side, _ in convolutions)


def stem_macs(signature: Signature, width: int | None, stride: int) -> int:
    """Two dense convolutions at the positions of their outputs."""
    convolutions = _stem_convolutions(signature, width, stride)
    return sum(area * outputs * inputs * side**2 for inputs, outputs, side, area in convolutions)


def _stem_convolutions(
    signature: Signature, width: int | None, stride: int
) -> list[tuple[int, int, int, int]]:
    """Inputs, outputs, side of the kernel and output positions of both."""
    outputs, (first, second) = width or signature.channels, stem_strides(stride)
    half = max(1, outputs // 2)
    middle, end = signature.after(half, first), signature.after(outputs, stride)
    return [
        (signature.channels, half, stem_kernel(first), middle.size[0] * middle.size[1]),
        (half, outputs, stem_kernel(second), end.size[0] * end.size[1]),
    ]
