"""Hand formulas of this family: where a block fits, its parameters, and its multiply-adds when deployed."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb, prod
from typing import Any

from nas.spaces.signature import Signature


def kept_count(total: int, density: float) -> int:
    """How many of `total` are kept at a density: the nearest whole number, at least one."""
    return min(total, max(1, round(density * total)))


def kept_weights(inputs: int, outputs: int, sparsity: float, block: int) -> int:
    """The weights a pruned 1x1 convolution holds: the nearest whole number of blocks, at least one."""
    return block * kept_count(inputs * outputs // block, 1 - sparsity)


def positions(signature: Signature, stride: int) -> int:
    """The positions of the map behind a stride."""
    return prod(signature.after(None, stride).size)


def learned(knobs: Mapping[str, Any], count: int = 1) -> int:
    """The parameters of `count` activations: a scale and a bias where it is StarReLU."""
    return 2 * count if knobs.get("activation") == "star_relu" else 0


def fits_pointwise(
    signature: Signature, width: int | None, stride: int, *, sparsity: float, block: int, **knobs: Any
) -> bool:
    """Blocks of output channels divide the width."""
    return (width or signature.channels) % block == 0


def pointwise_params(
    signature: Signature, width: int | None, stride: int, *, sparsity: float, block: int, **knobs: Any
) -> int:
    """The kept weights, and gain and bias of the norm."""
    outputs = width or signature.channels
    return kept_weights(signature.channels, outputs, sparsity, block) + 2 * outputs + learned(knobs)


def pointwise_macs(
    signature: Signature, width: int | None, stride: int, *, sparsity: float, block: int, **knobs: Any
) -> int:
    """Every kept weight at every position."""
    kept = kept_weights(signature.channels, width or signature.channels, sparsity, block)
    return kept * positions(signature, stride)


def fits_separable(
    signature: Signature, width: int | None, stride: int, *, kernel: int, block: int, **knobs: Any
) -> bool:
    """An odd kernel; blocks divide the width."""
    return kernel % 2 == 1 and (width or signature.channels) % block == 0


def separable_params(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    sparsity: float,
    block: int,
    **knobs: Any,
) -> int:
    """The depthwise kernel and the kept weights, each with a norm."""
    channels = signature.channels
    pointwise = pointwise_params(signature, width, 1, sparsity=sparsity, block=block)
    return channels * kernel**2 + 2 * channels + pointwise + learned(knobs, 2)


def separable_macs(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    sparsity: float,
    block: int,
    **knobs: Any,
) -> int:
    """Both convolutions at the positions behind the stride."""
    kept = kept_weights(signature.channels, width or signature.channels, sparsity, block)
    return (signature.channels * kernel**2 + kept) * positions(signature, stride)


def fits_inverted_residual(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    expansion: float,
    block: int,
    **knobs: Any,
) -> bool:
    """An odd kernel; blocks divide the inner channels and the width."""
    inner = round(signature.channels * expansion)
    fits_inside = expansion == 1 or inner % block == 0
    return kernel % 2 == 1 and fits_inside and (width or signature.channels) % block == 0


def inverted_residual_weights(
    signature: Signature, width: int | None, *, expansion: float, sparsity: float, block: int
) -> tuple[int, int, int]:
    """Inner channels, and the kept weights of the expansion and of the projection."""
    channels = signature.channels
    inner = round(channels * expansion)
    expand = kept_weights(channels, inner, sparsity, block) if expansion != 1 else 0
    return inner, expand, kept_weights(inner, width or channels, sparsity, block)


def inverted_residual_params(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    expansion: float,
    se: float,
    sparsity: float,
    block: int,
    **knobs: Any,
) -> int:
    """Three convolutions with norms, and a gate of two layers with bias."""
    inner, expand, project = inverted_residual_weights(
        signature, width, expansion=expansion, sparsity=sparsity, block=block
    )
    squeezed = max(1, round(se * signature.channels)) if se else 0
    gate = 2 * inner * squeezed + squeezed + inner if se else 0
    norms = 2 * ((2 if expansion != 1 else 1) * inner + (width or signature.channels))
    activations = 1 + (expansion != 1) + bool(se)
    return expand + inner * kernel**2 + project + gate + norms + learned(knobs, activations)


def inverted_residual_macs(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    expansion: float,
    se: float,
    sparsity: float,
    block: int,
    **knobs: Any,
) -> int:
    """The expansion in front of the stride, the rest behind it, the gate once."""
    inner, expand, project = inverted_residual_weights(
        signature, width, expansion=expansion, sparsity=sparsity, block=block
    )
    squeezed = max(1, round(se * signature.channels)) if se else 0
    behind = (inner * kernel**2 + project) * positions(signature, stride)
    return expand * prod(signature.size) + behind + 2 * inner * squeezed


def fits_nm(
    signature: Signature, width: int | None, stride: int, *, n: int, m: int, g: int, **knobs: Any
) -> bool:
    """m divides the inputs, a chunk of C(m, n) · g rows the width; a free pattern has a byte per place."""
    divides = 0 < n <= m <= 256 and signature.channels % m == 0
    return divides and (g == 0 or (width or signature.channels) % (comb(m, n) * g) == 0)


def nm_params(
    signature: Signature, width: int | None, stride: int, *, n: int, m: int, g: int, **knobs: Any
) -> int:
    """n of every m weights, and gain and bias of the norm."""
    outputs = width or signature.channels
    return signature.channels * outputs // m * n + 2 * outputs + learned(knobs)


def nm_macs(
    signature: Signature, width: int | None, stride: int, *, n: int, m: int, g: int, **knobs: Any
) -> int:
    """Every kept weight at every position."""
    kept = signature.channels * (width or signature.channels) // m * n
    return kept * positions(signature, stride)


def fits_masked_conv(
    signature: Signature, width: int | None, stride: int, *, kernel: int, **knobs: Any
) -> bool:
    """Kernels are odd, so that a position is at the centre of its window."""
    return kernel % 2 == 1


def masked_conv_params(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    **knobs: Any,
) -> int:
    """The kernel, and gain and bias of the norm."""
    outputs = width or signature.channels
    return signature.channels * outputs * kernel**2 + 2 * outputs + learned(knobs)


def masked_conv_macs(
    signature: Signature, width: int | None, stride: int, *, kernel: int, **knobs: Any
) -> int:
    """Every position is computed, active or not."""
    outputs = width or signature.channels
    return signature.channels * outputs * kernel**2 * positions(signature, stride)
