"""Rules and hand formulas of SMPConv, without torch.

The knobs `k` are `kernel`, `points_divisor` and `small_kernel`.
"""

from __future__ import annotations

from math import prod

from nas.spaces.signature import Signature


def points_of(taps: int, points_divisor: int) -> int:
    """The number of points of a kernel of so many taps, one at least."""
    return max(1, taps // points_divisor)


def series_kernel(signature: Signature, kernel: int, small_kernel: int) -> int:
    """The length of a kernel for a series: as given, or long enough for every step to see all others."""
    return kernel or max(small_kernel, 2 * signature.size[0] - 1)


def fits(signature: Signature, width: int | None, stride: int, **k: int) -> bool:
    """Kernels are odd, and the small one is no larger than the generated one."""
    return _are_odd(k["kernel"], k["small_kernel"])


def series_fits(signature: Signature, width: int | None, stride: int, **k: int) -> bool:
    """The same, where 0 stands for the whole series."""
    return _are_odd(series_kernel(signature, k["kernel"], k["small_kernel"]), k["small_kernel"])


def params(signature: Signature, width: int | None, stride: int, **k: int) -> int:
    """Parameters of `SmpConv` as it is trained."""
    C = signature.channels
    return points_of(k["kernel"] ** 2, k["points_divisor"]) * (C + 3) + C * (k["small_kernel"] ** 2 + 4)


def macs(signature: Signature, width: int | None, stride: int, **k: int) -> int:
    """Multiply-accumulates of `SmpConv` as it is deployed: those of a plain depthwise convolution."""
    return prod(signature.size) * signature.channels * k["kernel"] ** 2


def series_params(signature: Signature, width: int | None, stride: int, **k: int) -> int:
    """Parameters of `SeriesSmpConv` as it is trained."""
    C, length = signature.channels, series_kernel(signature, k["kernel"], k["small_kernel"])
    return points_of(length, k["points_divisor"]) * (C + 2) + C * (k["small_kernel"] + 4)


def series_macs(signature: Signature, width: int | None, stride: int, **k: int) -> int:
    """Multiply-accumulates of `SeriesSmpConv` as it is deployed."""
    length = series_kernel(signature, k["kernel"], k["small_kernel"])
    return prod(signature.size) * signature.channels * length


def _are_odd(kernel: int, small_kernel: int) -> bool:
    return kernel % 2 == 1 and small_kernel % 2 == 1 and small_kernel <= kernel
