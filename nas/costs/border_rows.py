"""The figures of layers by what comes over the border in front of them, and those of networks of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.operators import KINDS
from nas.costs.speed import MATRIX_KINDS
from nas.costs.trace_keys import Border, Profile, border_behind, first_border

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.operators import Trace
    from nas.costs.target import Target

EMPTY_ROW = 0
TRACED = tuple(Border(lower, innermost) for lower, innermost in product((False, True), repeat=2))
"""The borders that traces depend on; they have the first places."""
JOINING_KINDS = frozenset(KINDS) - MATRIX_KINDS - {"conv_depthwise", "sparse", "fft", "sort"}
"""What a runtime may run within the kernel that made its input."""
ROOM = 64


class BorderRows:
    """Rows of figures, one for each layer, and zeros in row 0, which is that of no layer.

    `price` gives the figures of a trace on the target of an index, of shape (width,); the last of them is the
    most of all layers of a network, the others add up. A layer has figures for each border that was met, and
    tells the border behind it. Where nothing of it can join the kernel in front, it is priced once for each
    border that its trace depends on. Eager execution holds the input of a network until the end: that of the
    first layer which does not just pass it on is there behind it too.
    """

    def __init__(
        self, targets: Sequence[Target], price: Callable[[int, Trace], NDArray[np.float64]], width: int
    ) -> None:
        self._targets = tuple(targets)
        self._variants = [Profile.of(target) for target in targets]
        self._price = price
        self._places = {border: place for place, border in enumerate(TRACED)}
        self._first = np.array([self._places[first_border(target)] for target in targets])
        self._differ = any(len(variants) > 1 for variants in self._variants)
        self._open: dict[int, Mapping[Profile, Trace]] = {}
        self._count = 1
        self._values = np.zeros((len(TRACED), ROOM, len(targets), width))
        self._behind = np.zeros((len(TRACED), ROOM, len(targets)), dtype=np.int64)
        self._behind[:, EMPTY_ROW] = np.arange(len(TRACED))[:, None]
        self._eager = np.array([target.runtime == "eager" for target in targets])
        self._inputs = np.zeros((ROOM, len(targets)))
        self._inputs_to_price: dict[int, Mapping[Profile, Trace]] = {}

    @property
    def profiles(self) -> list[Profile]:
        """All that layers are traced for, each once."""
        return list(dict.fromkeys(profile for variants in self._variants for profile in variants.values()))

    def add(self, traces: Mapping[Profile, Trace]) -> int:
        """Prices a layer on every target, from its trace for each profile; returns its row."""
        row = self._count
        self._count += 1
        if row == self._values.shape[1]:
            self._values = np.concatenate([self._values, np.zeros_like(self._values)], axis=1)
            self._behind = np.concatenate([self._behind, np.zeros_like(self._behind)], axis=1)
            self._inputs = np.concatenate([self._inputs, np.zeros_like(self._inputs)])
        for border in TRACED:
            self._fill(row, border, traces)
        if self._eager.any():
            self._inputs_to_price[row] = traces
        others = list(self._places)[len(TRACED) :]
        if any(map(_is_open, traces.values())):
            self._open[row] = traces
            for border in others:
                self._fill(row, border, traces)
            return row
        for border in others:
            self._copy(row, border)
        return row

    def sums(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The figures of networks of (n, layers) rows, of shape (n, targets, width)."""
        sums = np.zeros((len(rows), *self._values.shape[2:]))
        largest = np.zeros(sums.shape[:2])
        border = np.broadcast_to(self._first, largest.shape)
        targets = np.arange(len(self._targets))
        held = np.zeros_like(largest)
        for column in rows.T:
            if self._differ:
                place = border, column[:, None], targets
                picked, border = self._values[place], self._behind[place]
            else:
                picked = self._values[0, column]
            sums += picked
            np.maximum(largest, picked[..., -1] + held, out=largest)
            if not held[:, self._eager].all():
                held = np.where(held > 0, held, self._inputs_of(column))
        sums[..., -1] = largest
        return sums

    def _fill(self, row: int, border: Border, traces: Mapping[Profile, Trace]) -> None:
        """Prices a layer whose input comes over a border, on every target on which it may."""
        for index, (target, variants) in enumerate(zip(self._targets, self._variants, strict=True)):
            if border.traced not in variants:
                continue
            trace = replace(traces[variants[border.traced]], input_kind=border.kind)
            figures = self._price(index, trace)
            behind = self._place(border_behind(trace, target))
            place = self._places[border]
            self._values[place, row, index] = figures
            self._behind[place, row, index] = behind
            traced = self._values[self._places[border.traced], row, index]
            self._differ = self._differ or not np.array_equal(figures, traced)

    def _inputs_of(self, column: NDArray[np.int64]) -> NDArray[np.float64]:
        """What holding the input of each of some layers adds to the last figure, of shape (n, targets)."""
        for row in self._inputs_to_price.keys() & set(column.tolist()):
            traces = self._inputs_to_price.pop(row)
            for index in np.flatnonzero(self._eager).tolist():
                self._inputs[row, index] = self._input(row, index, traces)
        return self._inputs[column]

    def _input(self, row: int, index: int, traces: Mapping[Profile, Trace]) -> float:
        """The same of one layer on one target; 0 where it passes its input on."""
        trace = traces[self._variants[index][first_border(self._targets[index])]]
        if trace.output == -1:
            return 0.0
        holding = self._price(index, trace.holding(trace.input_bytes))[-1]
        return float(holding - self._values[self._first[index], row, index, -1])

    def _copy(self, row: int | slice, border: Border) -> None:
        """Gives layers the figures that they have without a kernel in front."""
        place, traced = self._places[border], self._places[border.traced]
        self._values[place, row] = self._values[traced, row]
        self._behind[place, row] = self._behind[traced, row]

    def _place(self, border: Border) -> int:
        """The place of a border; where it is a new one, every layer so far has figures for it."""
        if border not in self._places:
            self._places[border] = len(self._places)
            self._values = np.concatenate([self._values, np.zeros_like(self._values[:1])])
            self._behind = np.concatenate([self._behind, np.zeros_like(self._behind[:1])])
            self._copy(slice(None), border)
            self._behind[-1, EMPTY_ROW] = self._places[border]
            for row, traces in self._open.items():
                self._fill(row, border, traces)
        return self._places[border]


def _is_open(trace: Trace) -> bool:
    """Whether it depends on the kernel in front: an operator may join it, or it passes its input on."""
    return trace.output == -1 or any(
        operator.kind in JOINING_KINDS and {index for index, _ in operator.sources} == {-1}
        for operator in trace.operators
    )
