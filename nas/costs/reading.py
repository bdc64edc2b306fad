"""Readings of a reference: how fast a processor is at a moment, beside another.

A shared host slows its guests down in two ways that come and go apart: a neighbour on the same core takes
units of arithmetic from it, which large matrix products feel, and caches of instructions and data, which
small kernels feel more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import geometric_mean, median_high, median_low
from typing import TYPE_CHECKING, overload

import numpy as np

from nas.costs.speed import MATRIX_KINDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.cost import Cost

PRODUCT_WEIGHT = 0.75
"""Matrix work slows down so much, as a power, with a matrix product, and with small kernels for the rest."""


@dataclass(frozen=True)
class Reading:
    """What the kernels of a reference took, in milliseconds: a matrix product and a small convolution."""

    product_ms: float
    convolution_ms: float

    @property
    def mean_ms(self) -> float:
        """The geometric mean of both."""
        return geometric_mean((self.product_ms, self.convolution_ms))

    @overload
    def slowness(self, usual: Reading, matrix_share: float) -> float: ...
    @overload
    def slowness(self, usual: Reading, matrix_share: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def slowness(self, usual: Reading, matrix_share: float | NDArray[np.float64]) -> object:
        """How many times as long as usual something takes, of whose time such a share is matrix work.

        >>> Reading(2.0, 4.0).slowness(Reading(1.0, 1.0), matrix_share=0.0)
        4.0
        """
        weight = PRODUCT_WEIGHT * matrix_share
        product, convolution = (
            self.product_ms / usual.product_ms,
            self.convolution_ms / usual.convolution_ms,
        )
        return product**weight * convolution ** (1 - weight)


def middle_reading(readings: Sequence[Reading]) -> Reading:
    """The median of each kernel, between two of them the geometric mean: what disturbed single readings says
    nothing of the speed of the machine.

    >>> middle_reading([Reading(1.0, 2.0), Reading(9.0, 2.5), Reading(1.0, 3.0)])
    Reading(product_ms=1.0, convolution_ms=2.5)
    """
    return Reading(
        _middle([reading.product_ms for reading in readings]),
        _middle([reading.convolution_ms for reading in readings]),
    )


def _middle(times: Sequence[float]) -> float:
    return geometric_mean((median_low(times), median_high(times)))


def matrix_share(cost: Cost) -> float:
    """The share of the predicted time of a network that is matrix work; 0 where nothing takes time."""
    whole = sum(operator.latency_ms for operator in cost.operators)
    matrix = sum(operator.latency_ms for operator in cost.operators if operator.kind in MATRIX_KINDS)
    return matrix / whole if whole else 0.0
