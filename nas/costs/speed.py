"""The speed of light of a target: what its datasheet allows, before any utilisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.costs.operators import Operator
    from nas.costs.target import Target

MATRIX_KINDS = frozenset({"conv", "conv_grouped", "gemm", "bmm", "sdpa", "rnn"})
"""What runs on the matrix units, at the peak of the precision; everything else runs at the fp32 peak."""


@dataclass(frozen=True)
class Speed:
    """Arithmetic operations (2 per multiply-add) and bytes per millisecond.

    `matrix` is the peak of matrix work, `vector` that of everything else, `bandwidth` that of the memory.
    """

    matrix: float
    vector: float
    bandwidth: float

    def peak(self, kind: str) -> float:
        """The peak of the units that run operators of a kind."""
        return self.matrix if kind in MATRIX_KINDS else self.vector

    def compute_ms(self, operator: Operator) -> float:
        """The least time of an operator's arithmetic."""
        return operator.flops / self.peak(operator.kind)

    def memory_ms(self, moved: float) -> float:
        """The least time to move so many bytes."""
        return moved / self.bandwidth

    @property
    def ridge(self) -> float:
        """Operations per byte at which matrix work takes as long as its traffic: the waterline."""
        return self.matrix / self.bandwidth


def speed_of(target: Target) -> Speed:
    """The datasheet's speed of a target at its precision.

    Where the datasheet gives no fp32 peak, all kinds have the peak of the precision: a bound stays a bound.
    """
    from nas.costs.target_file import PEAKS

    figures = target.figures
    matrix = figures[PEAKS[target.precision]].value * 1e9
    vector = figures["fp32_tflops"].value * 1e9 if "fp32_tflops" in figures else matrix
    return Speed(matrix, vector, figures["memory_bandwidth_gbs"].value * 1e6)
