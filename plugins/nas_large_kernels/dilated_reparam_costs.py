"""The branches of a dilated reparameterised convolution, and what it costs; without torch."""

from __future__ import annotations

from typing import Any

from nas.spaces.signature import Signature

SMALLEST_KERNEL = 3

BRANCHES: dict[int, tuple[tuple[int, int], ...]] = {
    5: ((3, 1), (3, 2)),
    7: ((5, 1), (3, 2), (3, 3)),
    9: ((5, 1), (5, 2), (3, 3), (3, 4)),
    11: ((5, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    13: ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    15: ((5, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    17: ((5, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
}
"""Kernel and dilation of each branch beside a kernel of so many pixels; each reaches no further than it."""


def kernels(kernel: int) -> list[int]:
    """The sides of all kernels of the training form, the large one first."""
    return [kernel, *(side for side, _ in BRANCHES.get(kernel, ()))]


def fits(signature: Signature, width: int | None, stride: int, *, kernel: int, **knobs: Any) -> bool:
    """Kernels are odd and have a row in the table; one of 3 pixels has no room for branches."""
    return kernel in BRANCHES or kernel == SMALLEST_KERNEL


def params(signature: Signature, width: int | None, stride: int, *, kernel: int, **knobs: Any) -> int:
    """A kernel, a gain and a bias per channel for the large convolution and each branch."""
    return signature.channels * sum(side**2 + 2 for side in kernels(kernel))


def macs(signature: Signature, width: int | None, stride: int, *, kernel: int, **knobs: Any) -> int:
    """One depthwise convolution at every position."""
    height, breadth = signature.size
    return height * breadth * signature.channels * kernel**2
