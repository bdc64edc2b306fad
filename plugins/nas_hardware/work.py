"""What operators ask of a device, as arrays: one row for each operator, one column for each size.

Convolutions, attention and linear layers are seen as batches of matrix products: of `rows` × `inner` times
`inner` × `columns`. A convolution has a product for each group, whose rows are the positions of the output
over the batch and whose inner size is the input channels of the group times the taps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.operators import Operator

CLASSES = (
    "conv_1x1",
    "conv",
    "conv_grouped",
    "depthwise_3",
    "depthwise_5",
    "depthwise_7",
    "depthwise_large",
    "gemm",
    "bmm",
    "sdpa",
    "batch_norm",
    "norm",
    "group_norm",
    "softmax",
    "pointwise",
    "join",
    "cat",
    "copy",
    "cast",
    "reduce",
    "pool",
    "gather",
    "resample",
    "pad",
    "fft",
    "sort",
    "rnn",
    "sparse",
    "custom",
)
"""The kernels that are told apart; ``join`` is a pointwise operator of several tensors. Depthwise
convolutions are told apart by the kernel size that libraries have kernels for."""
DEPTHWISE = ((9, "depthwise_3"), (25, "depthwise_5"), (49, "depthwise_7"))
"""The most taps of each class of depthwise convolutions but the last."""
CLASS_OF_NAME = {
    "cat": "cat",
    "stack": "cat",
    "_to_copy": "cast",
    "batch_norm": "batch_norm",
    "group_norm": "group_norm",
    "instance_norm": "group_norm",
    "constant_pad_nd": "pad",
}
PRODUCT_KINDS = frozenset({"conv", "conv_grouped", "gemm", "bmm", "sdpa"})
"""The kinds that are dense matrix products."""
COLUMNS = (
    "batch",
    "rows",
    "columns",
    "inner",
    "flops",
    "read",
    "written",
    "positions",
    "planar",
)


@dataclass(frozen=True)
class Work:
    """Operators as arrays of shape (n,): `classes` are indices into CLASSES, `values` of shape (n, COLUMNS).

    `moved` are the bytes each still moves where a runtime fuses. `positions` and `planar` are those of a
    resampled map: its places, and whether its channels lie apart.
    """

    classes: NDArray[np.int64]
    values: NDArray[np.float64]
    moved: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self.values[:, COLUMNS.index(name)]

    def is_of(self, *names: str) -> NDArray[np.bool_]:
        """Which operators belong to one of these classes."""
        return np.isin(self.classes, [CLASSES.index(name) for name in names])

    def chosen(self, mask: NDArray[np.bool_]) -> Work:
        """Some of the operators."""
        return Work(self.classes[mask], self.values[mask], self.moved[mask])

    @cached_property
    def matrix(self) -> NDArray[np.bool_]:
        """Which operators are dense matrix products."""
        return self.is_of("conv_1x1", "conv", "conv_grouped", "gemm", "bmm", "sdpa")


def work_of(operators: Sequence[Operator], moved: Sequence[float] | None = None) -> Work:
    """The work of operators; `moved` replaces the bytes that each moves."""
    values = np.array([_row(operator) for operator in operators], dtype=np.float64)
    values = values.reshape(len(operators), len(COLUMNS))
    classes = np.array([CLASSES.index(class_of(operator)) for operator in operators], dtype=np.int64)
    traffic = [operator.bytes_moved for operator in operators] if moved is None else moved
    return Work(classes, values, np.asarray(traffic, dtype=np.float64))


def class_of(operator: Operator) -> str:
    """The class of the kernel that runs an operator."""
    kind = operator.kind
    if kind in ("conv", "conv_depthwise"):
        taps = _product_of(dict(operator.dims), "kernel_")
        if kind == "conv":
            return "conv_1x1" if taps == 1 else "conv"
        return next((name for most, name in DEPTHWISE if taps <= most), "depthwise_large")
    if kind == "pointwise":
        return "join" if len(operator.sources) > 1 or operator.weight_bytes else "pointwise"
    named = CLASS_OF_NAME.get(operator.name.rstrip("_"), CLASS_OF_NAME.get(operator.name))
    return named or (kind if kind in CLASSES else "custom")


def _row(operator: Operator) -> tuple[float, ...]:
    dims = dict(operator.dims)
    batch, rows, columns, inner = _product(operator, dims)
    return (
        batch,
        rows,
        columns,
        inner,
        operator.flops,
        operator.bytes_read,
        operator.bytes_written,
        dims.get("positions", 1),
        dims.get("planar", 0),
    )


def _product(operator: Operator, dims: dict[str, int]) -> tuple[float, float, float, float]:
    """The batch, rows, columns and inner size of the products that an operator is; one product with three
    sizes alike where its rule names none."""
    if "in_channels" in dims:
        return _convolution(dims)
    if "queries" in dims:
        depth = dims.get("depth", 1)
        inner = depth + dims.get("value_depth", depth)
        return dims.get("batch", 1) * dims.get("heads", 1), dims["queries"], dims.get("keys", 1), inner
    if operator.kind in PRODUCT_KINDS and "rows" not in dims:
        side = max(1.0, operator.flops / 2) ** (1 / 3)
        return 1, side, side, side
    return dims.get("batch", 1), dims.get("rows", 1), dims.get("columns", 1), dims.get("inner", 1)


def _convolution(dims: dict[str, int]) -> tuple[float, float, float, float]:
    """A product for each group; a transposed one reaches each position by one in so many of its taps."""
    groups = max(1, dims.get("groups", 1))
    inner = dims["in_channels"] / groups * _product_of(dims, "kernel_")
    if dims.get("transposed"):
        inner /= _product_of(dims, "stride_")
    rows = dims.get("batch", 1) * _product_of(dims, "out_")
    return groups, rows, dims.get("out_channels", groups) / groups, inner


def _product_of(dims: dict[str, int], prefix: str) -> int:
    """The product of ``kernel_0``, ``kernel_1``, ...; not of ``out_channels``."""
    return prod(v for k, v in dims.items() if k.startswith(prefix) and k[len(prefix) :].isdigit())
