"""What operators ask of a device, as arrays: one row for each operator, one column for each size.

Convolutions, attention and linear layers are seen as batches of matrix products: of `rows` × `inner` times
`inner` × `columns`. A convolution has a product for each group, whose rows are the positions of the output
over the batch and whose inner size is the input channels of the group times the taps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.memory_order import IMAGE_KINDS
from nas_hardware.depthwise import depthwise_class

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.operators import Operator

CLASSES = (
    "conv_1x1",
    "conv_1x1_innermost",
    "conv",
    "conv_innermost",
    "conv_grouped",
    "depthwise_library",
    "depthwise_plain",
    "depthwise_innermost",
    "depthwise_fallback",
    "gemm",
    "gemm_batch",
    "bmm",
    "sdpa",
    "batch_norm",
    "norm",
    "group_norm",
    "softmax",
    "pointwise",
    "spread",
    "transposed",
    "cat",
    "copy",
    "copy_transposed",
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
"""The kernels that are told apart. Convolutions by how images lie in memory, depthwise ones by
`nas_hardware.depthwise`; ``gemm_batch`` is a linear layer that runs as a batch of products; pointwise
operators and casts, by how their tensors lie to each other: ``pointwise``, ``spread``, ``transposed``."""
CLASS_OF_NAME = {
    "cat": "cat",
    "stack": "cat",
    "batch_norm": "batch_norm",
    "group_norm": "group_norm",
    "instance_norm": "group_norm",
    "constant_pad_nd": "pad",
}
IN_STEP = {"alike": "pointwise", "spread": "spread", "transposed": "transposed"}
"""Order of the tensors of a pointwise operator → its class."""
CONVOLUTION_CLASSES = ("conv_1x1", "conv_1x1_innermost", "conv", "conv_innermost", "conv_grouped")
PRODUCT_CLASSES = (*CONVOLUTION_CLASSES, "gemm", "gemm_batch", "bmm", "sdpa")
"""The classes that are dense matrix products."""
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
    "scratch",
    "elements",
    "taps",
    "lines",
    "positions",
    "planar",
    "width",
    "tiles_2",
    "tiles_4",
)


@dataclass(frozen=True)
class Work:
    """Operators as arrays of shape (n,): `classes` are indices into CLASSES, `values` of shape (n, COLUMNS).

    `moved` are the bytes each still moves where a runtime fuses. `scratch` are those of a copy in another
    order that the kernel makes first. `elements` are what a kernel has threads for, `taps` what each of them
    reads, `lines` what has moments of its own in a norm. `positions` are those of a map, `planar` says that
    its channels lie apart. `width` is the bytes of a number. `tiles_2` and
    `tiles_4` are how many tiles of so many outputs a side make up those of a plain 3×3 convolution.
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
        return self.is_of(*PRODUCT_CLASSES)


def work_of(
    operators: Sequence[Operator], moved: Sequence[float] | None = None, *, eager: bool = True
) -> Work:
    """The work of operators; `moved` replaces the bytes that each moves.

    Where a compiler writes the kernels (not `eager`) it chooses how tensors lie: no kernel copies what it
    reads, none goes through tensors that lie differently.
    """
    if not eager:
        operators = [_laid_out(operator) for operator in operators]
    values = np.array([_row(operator) for operator in operators], dtype=np.float64)
    values = values.reshape(len(operators), len(COLUMNS))
    classes = np.array([CLASSES.index(class_of(operator)) for operator in operators], dtype=np.int64)
    if not eager:
        values[:, COLUMNS.index("lines")] = 0
        classes[classes == CLASSES.index("depthwise_fallback")] = CLASSES.index("depthwise_innermost")
    traffic = [operator.bytes_moved for operator in operators] if moved is None else moved
    return Work(classes, values, np.asarray(traffic, dtype=np.float64))


def _laid_out(operator: Operator) -> Operator:
    """An operator as a compiler lays out what it reads and writes."""
    order = "innermost" if operator.kind in IMAGE_KINDS else "alike"
    return replace(operator, order=order, scratch_bytes=0)


def class_of(operator: Operator) -> str:
    """The class of the kernel that runs an operator."""
    kind = operator.kind
    if kind == "conv_depthwise":
        return depthwise_class(operator)
    if kind == "conv":
        name = "conv_1x1" if _product_of(dict(operator.dims), "kernel_") == 1 else "conv"
        return f"{name}_innermost" if operator.order == "innermost" else name
    if kind == "gemm":
        return "gemm_batch" if (operator.dim("batch") or 1) > 1 else "gemm"
    if kind == "pointwise":
        return IN_STEP.get(operator.order, "pointwise")
    named = CLASS_OF_NAME.get(operator.name.rstrip("_"), CLASS_OF_NAME.get(operator.name))
    if kind == "copy" and named is None:
        return _class_of_copy(operator)
    return named or (kind if kind in CLASSES else "custom")


def _class_of_copy(operator: Operator) -> str:
    if operator.order == "transposed":
        return "copy_transposed"
    return "pointwise" if operator.name == "_to_copy" and operator.order == "alike" else "copy"


def _row(operator: Operator) -> tuple[float, ...]:
    dims = dict(operator.dims)
    batch, rows, columns, inner = _product(operator, dims)
    is_depthwise = operator.kind == "conv_depthwise"
    taps = inner if is_depthwise else dims.get("window", 1)
    elements = float(operator.elements)
    if is_depthwise:
        elements = batch * rows * columns
    elif "window" in dims:
        elements = operator.flops / max(1, taps)
    return (
        batch,
        rows,
        columns,
        inner,
        operator.flops,
        operator.bytes_read,
        operator.bytes_written,
        0 if operator.kind == "sdpa" else operator.scratch_bytes,  # scores are no copies: they count as moved
        elements,
        taps,
        operator.elements / dims["normalized"] if dims.get("normalized") else 0,
        _positions(dims),
        operator.order != "innermost",
        operator.width,
        _tiles(dims, 2),
        _tiles(dims, 4),
    )


def _tiles(dims: dict[str, int], side: int) -> int:
    """The tiles that the outputs of a 3×3 convolution fall into, over the batch; 0 for any other."""
    names = (
        "groups",
        "kernel_0",
        "kernel_1",
        "stride_0",
        "stride_1",
        "dilation_0",
        "dilation_1",
        "transposed",
    )
    if tuple(dims.get(name) for name in names) != (1, 3, 3, 1, 1, 1, 1, 0) or "out_2" in dims:
        return 0
    return dims.get("batch", 1) * prod(-(-dims[name] // side) for name in ("out_0", "out_1"))


def _positions(dims: dict[str, int]) -> int:
    return _product_of(dims, "out_") if "in_channels" in dims else dims.get("positions", 1)


def _product(operator: Operator, dims: dict[str, int]) -> tuple[float, float, float, float]:
    """The batch, rows, columns and inner size of the products that an operator is; one product with three
    sizes alike where its rule names none."""
    if "in_channels" in dims:
        return _convolution(dims, operator.order)
    if "queries" in dims:
        depth = dims.get("depth", 1)
        inner = depth + dims.get("value_depth", depth)
        return dims.get("batch", 1) * dims.get("heads", 1), dims["queries"], dims.get("keys", 1), inner
    if operator.kind in PRODUCT_KINDS and "rows" not in dims:
        side = max(1.0, operator.flops / 2) ** (1 / 3)
        return 1, side, side, side
    return dims.get("batch", 1), dims.get("rows", 1), dims.get("columns", 1), dims.get("inner", 1)


def _convolution(dims: dict[str, int], order: str) -> tuple[float, float, float, float]:
    """A product for each group; a transposed one reaches each position by one in so many of its taps.

    Where channels lie apart, convolutions of one tap and no stride have a product for each image: only
    within one lie its positions side by side.
    """
    groups, images = max(1, dims.get("groups", 1)), dims.get("batch", 1)
    taps, positions = _product_of(dims, "kernel_"), _product_of(dims, "out_")
    inner = dims["in_channels"] / groups * taps
    if dims.get("transposed"):
        inner /= _product_of(dims, "stride_")
    columns = dims.get("out_channels", groups) / groups
    if order != "innermost" and taps == groups == _product_of(dims, "stride_") == 1:
        return images, positions, columns, inner
    return groups, images * positions, columns, inner


def _product_of(dims: dict[str, int], prefix: str) -> int:
    """The product of ``kernel_0``, ``kernel_1``, ...; not of ``out_channels``."""
    return prod(v for k, v in dims.items() if k.startswith(prefix) and k[len(prefix) :].isdigit())
