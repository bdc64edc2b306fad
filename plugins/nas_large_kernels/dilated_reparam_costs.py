"""The branches of a dilated reparameterised convolution, and what it costs; without torch."""

from __future__ import annotations

from typing import Any

from nas.spaces.signature import Signature

MIN_KERNEL, MAX_KERNEL = 3, 17
PLAIN_KERNEL = 5
"""The largest kernel that has no branches beside it."""

BRANCHES: dict[int, tuple[tuple[int, int], ...]] = {
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


def has_branches(kernel: int) -> bool:
    """Whether anything stands beside the large kernel."""
    return kernel > PLAIN_KERNEL


def fits(signature: Signature, width: int | None, stride: int, *, kernel: int, **knobs: Any) -> bool:
    """Kernels are odd and have a row in the table, or are small."""
    return kernel in BRANCHES or kernel in (3, 5)


def params(signature: Signature, width: int | None, stride: int, *, kernel: int, **knobs: Any) -> int:
    """A kernel, a gain and a bias per channel for the large convolution and each branch."""
    return signature.channels * sum(side**2 + 2 for side in kernels(kernel))


def macs(signature: Signature, width: int | None, stride: int, *, kernel: int, **knobs: Any) -> int:
    """One depthwise convolution at every position."""
    height, breadth = signature.size
    return height * breadth * signature.channels * kernel**2
