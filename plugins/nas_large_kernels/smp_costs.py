"""Hand formulas of SMPConv, without torch."""

from __future__ import annotations

from math import prod

from nas.spaces.signature import Signature


def points_of(taps: int, points_divisor: int) -> int:
    """The number of points of a kernel of so many taps, one at least."""
    return max(1, taps // points_divisor)


def series_kernel(signature: Signature, kernel: int, small_kernel: int) -> int:
    """The length of a kernel for a series: as given, or long enough for every step to see all others."""
    return kernel or max(small_kernel, 2 * signature.size[0] - 1)


def fits(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    points_divisor: int,
    small_kernel: int,
) -> bool:
    """Kernels are odd, and the small one is no larger than the generated one."""
    return kernel % 2 == 1 and small_kernel % 2 == 1 and small_kernel <= kernel


def series_fits(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    points_divisor: int,
    small_kernel: int,
) -> bool:
    """The same, where 0 stands for the whole series."""
    length = series_kernel(signature, kernel, small_kernel)
    return length % 2 == 1 and small_kernel % 2 == 1 and small_kernel <= length


def params(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    points_divisor: int,
    small_kernel: int,
) -> int:
    """Parameters of `SmpConv` as it is trained."""
    C = signature.channels
    return points_of(kernel**2, points_divisor) * (C + 3) + C * (small_kernel**2 + 4)


def macs(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    points_divisor: int,
    small_kernel: int,
) -> int:
    """Multiply-accumulates of `SmpConv` as it is deployed: those of a plain depthwise convolution."""
    return prod(signature.size) * signature.channels * kernel**2


def series_params(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    points_divisor: int,
    small_kernel: int,
) -> int:
    """Parameters of `SeriesSmpConv` as it is trained."""
    C, length = signature.channels, series_kernel(signature, kernel, small_kernel)
    return points_of(length, points_divisor) * (C + 2) + C * (small_kernel + 4)


def series_macs(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    points_divisor: int,
    small_kernel: int,
) -> int:
    """Multiply-accumulates of `SeriesSmpConv` as it is deployed."""
    return prod(signature.size) * signature.channels * series_kernel(signature, kernel, small_kernel)
