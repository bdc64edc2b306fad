"""Calibrations: what measurements on a device change about the predictions for it.

The time that a cost model gives for a kernel is multiplied by a factor of its kind, and what every kernel of
the kind takes is added, however small it is::

    log factor = log scale + Σ weight · z + Σ pull · exp(-|z - point|² / (2 reach²)),
    z = (log size - centre) / width

a scale alone where few kernels of the kind were measured; with more of them a straight line over the
logarithms of its sizes, and near what was measured what is left of it. Sizes are held to the range that was
measured, and factors to theirs, so that nothing is extrapolated. A kind of which too little was measured has
the scale of all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.reading import Reading
from nas.costs.target import Figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.operators import Operator

TIERS = ("T1", "T2", "T3")
"""What a calibration rests on: a few measured networks, micro-kernels, networks of a space."""
SIZES = (
    "flops",
    "bytes",
    "weight_bytes",
    "rows",
    "columns",
    "inner",
    "groups",
    "taps",
    "stride",
    "misaligned",
    "innermost",
    "scattered",
    "transposed",
    "dilation",
    "dimensions",
    "traffic",
)
LANES = 16
"""Kernels of convolutions are made for multiples of so many channels."""


@dataclass(frozen=True)
class Size:
    """How the time of a kernel depends on the logarithm of one of its SIZES: the weight of how many widths it
    is above the centre, and the range that was measured, in widths."""

    centre: float
    width: float
    weight: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """A measured kernel: where it lies, one number for each size of its correction, and how it pulls."""

    place: tuple[float, ...]
    pull: float


@dataclass(frozen=True)
class Correction:
    """What the predicted time of the kernels of a kind is multiplied by, from so many measured kernels.

    `names` maps operators of the kind to what theirs is multiplied by beside. The factor is never below
    `smallest` or above `largest`. `added_ms` comes on top of every kernel.
    """

    scale: float
    kernels: int
    smallest: float
    largest: float
    names: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, Size] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    reach: float = 1.0
    added_ms: float = 0.0

    def factors(
        self, operators: Sequence[Operator], traffics: Sequence[float] = (1.0,)
    ) -> NDArray[np.float64]:
        """The factor of each operator within networks of such traffics, of shape (traffics, n)."""
        exponent = np.log([self.scale * self.names.get(operator.name, 1.0) for operator in operators])
        if self.sizes:
            places = self.places(sizes_of(operators, traffics))
            exponent = exponent + places @ self._weights
            if self.points:
                near = closeness(places, self._point_places, self.reach)
                exponent = exponent + near @ self._pulls
        factors = np.clip(np.exp(exponent), self.smallest, self.largest)
        return np.broadcast_to(factors, (len(traffics), len(operators)))

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        return np.array([size.weight for size in self.sizes.values()])

    @cached_property
    def _point_places(self) -> NDArray[np.float64]:
        return np.array([point.place for point in self.points])

    @cached_property
    def _pulls(self) -> NDArray[np.float64]:
        return np.array([point.pull for point in self.points])

    def places(self, sizes: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Where kernels lie among those that were measured, of shape (n, sizes), or with the traffic among
        the sizes (traffics, n, sizes)."""
        columns = [
            np.clip((np.log(sizes[name]) - size.centre) / size.width, size.low, size.high)
            for name, size in self.sizes.items()
        ]
        return np.stack(np.broadcast_arrays(*columns), axis=-1)


def closeness(places: NDArray[np.float64], points: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """1 where a place is a point, towards 0 as it is farther than `reach`, of shape (…, points) for places of
    shape (…, sizes)."""
    squares = (places**2).sum(axis=-1)[..., None] + (points**2).sum(axis=-1) - 2 * places @ points.T
    near: NDArray[np.float64] = np.exp(-np.maximum(squares, 0.0) / (2 * reach**2))
    return near


@dataclass(frozen=True)
class Warmth:
    """How much quicker short networks are: more of one that takes less than `below_ms` is still in the caches
    when it runs again, code and numbers, so it takes (latency / below_ms)**power of the sum of its parts."""

    below_ms: float
    power: float

    def factors(self, latencies_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        """What latencies are multiplied by, of their shape.

        >>> Warmth(below_ms=4.0, power=0.5).factors(np.array([1.0, 16.0])).tolist()
        [0.5, 1.0]
        """
        found: NDArray[np.float64] = np.minimum(1.0, latencies_ms / self.below_ms) ** self.power
        return found


@dataclass(frozen=True)
class Bounds:
    """The factors between which latencies lie with 90 % confidence, as multiples of their prediction."""

    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """What was measured on a device, and what it changes about predictions.

    `model` is the cost model whose kernel times `scale` and `corrections` multiply; `figures` replace those
    of the datasheet for every model. Latencies lie between `low` and `high` times their prediction with 90 %
    confidence, or for the kinds of operators in `bounds` between those. `source` says who measured what, and
    when; `conditions` under which circumstances; `reference` how fast a processor was; `warmth` how much
    quicker short networks are.
    """

    tier: str
    model: str
    source: str
    scale: float = 1.0
    low: float = 1.0
    high: float = 1.0
    corrections: Mapping[str, Correction] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    reference: Reading | None = None
    warmth: Warmth | None = None
    bounds: Mapping[str, Bounds] = field(default_factory=dict)

    def factors(
        self, operators: Sequence[Operator], traffics: Sequence[float] = (1.0,)
    ) -> NDArray[np.float64]:
        """What the kernel time of each operator is multiplied by within networks that move so many bytes in
        one run, of shape (traffics, n)."""
        factors = np.full((len(traffics), len(operators)), self.scale)
        alike: dict[str, list[int]] = defaultdict(list)
        for index, operator in enumerate(operators):
            alike[self.key_of(operator)].append(index)
        for key in alike.keys() & self.corrections.keys():
            chosen = [operators[index] for index in alike[key]]
            factors[:, alike[key]] = self.corrections[key].factors(chosen, traffics)
        return factors

    @property
    def knows_traffic(self) -> bool:
        """Whether factors depend on what the network of an operator moves."""
        return any("traffic" in correction.sizes for correction in self.corrections.values())

    def added_ms(self, operators: Sequence[Operator]) -> NDArray[np.float64]:
        """What each operator takes on top of its kernel, in milliseconds, of shape (n,)."""
        found = (self.corrections.get(self.key_of(operator)) for operator in operators)
        return np.array([0.0 if one is None else one.added_ms for one in found], dtype=np.float64)

    def bounds_of(self, kinds: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both bounds for operators of these kinds, each of shape (n,)."""
        others = Bounds(self.low, self.high)
        found = [self.bounds.get(kind, others) for kind in kinds]
        return np.array([each.low for each in found]), np.array([each.high for each in found])

    def key_of(self, operator: Operator) -> str:
        """Which of the corrections an operator has: that of its name, or else that of its kind."""
        own = named(operator)
        return own if own in self.corrections else operator.kind


def named(operator: Operator) -> str:
    """What an operator's own correction is called: ``pointwise/gelu``."""
    return f"{operator.kind}/{operator.name}"


def kind_of(key: str) -> str:
    """The kind of operators that a correction is for, whether of all or of one by name."""
    return key.partition("/")[0]


def sizes_of(
    operators: Sequence[Operator], traffics: Sequence[float] = (1.0,)
) -> Mapping[str, NDArray[np.float64]]:
    """SIZES → that size of each operator, at least 1, of shape (n,); the traffic, what a network moves in one
    run in bytes, of shape (traffics, 1).

    Convolutions are seen as matrix products: rows are positions, columns and inner those of one group. Their
    `misaligned` is 2 where one of the numbers of channels is no multiple of LANES, 4 where both are not;
    `transposed` is 2 for those that make pictures larger, `dimensions` are those of a map. The groups of
    recurrent layers are their matrices: each layer and direction takes its own steps.
    """
    rows = np.array([_sizes(operator) for operator in operators], dtype=np.float64)
    columns = [*rows.reshape(-1, len(SIZES) - 1).T, np.array(traffics, dtype=np.float64)[:, None]]
    return {name: np.maximum(column, 1.0) for name, column in zip(SIZES, columns, strict=True)}


def _sizes(operator: Operator) -> tuple[float, ...]:
    """All sizes but the traffic."""
    dims = dict(operator.dims)
    rows, columns, inner, groups = (
        next((dims[name] for name in names if name in dims), 1) for names in _DIMENSIONS
    )
    if "in_channels" in dims:
        rows = dims["batch"] * _product_of(dims, "out_")
        columns, inner = dims["out_channels"] // groups, dims["in_channels"] // groups
    taps = dims.get("window", _product_of(dims, "kernel_"))
    stride = dims.get("stride_0", 1)
    misaligned = 2.0 ** sum(dims.get(name, 0) % LANES > 0 for name in ("in_channels", "out_channels"))
    work = (operator.flops, operator.bytes_moved, operator.weight_bytes)
    order = (2.0 if operator.order == "innermost" else 1.0, _SCATTERED.get(operator.order, 1.0))
    kernel = (2.0 if dims.get("transposed") else 1.0, dims.get("dilation_0", 1), 2 if "out_1" in dims else 1)
    return (*work, rows, columns, inner, groups, taps, stride, misaligned, *order, *kernel)


_DIMENSIONS = (
    ("rows", "queries", "steps"),
    ("columns", "keys", "hidden", "normalized"),
    ("inner", "depth", "inputs"),
    ("groups", "heads", "matrices", "batch"),
)


_SCATTERED = {"spread": 2.0, "transposed": 4.0}


def _product_of(dims: Mapping[str, int], prefix: str) -> int:
    """The product of ``kernel_0``, ``kernel_1``, ...; not of ``out_channels``."""
    names = (name for name in dims if name.startswith(prefix))
    return prod(dims[name] for name in names if name.removeprefix(prefix).isdigit())
