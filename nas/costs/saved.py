"""What autograd saves of a forward pass until the backward pass has used it (torch, ``derivatives.yaml``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from nas.costs.operators import Operator

Key: TypeAlias = tuple[str, int, int]

OUTPUT = frozenset(
    "relu sigmoid tanh exp exp2 expm1 sqrt rsqrt reciprocal softmax _softmax log_softmax _log_softmax".split()
)
"""Operators whose gradient is computed from what they returned."""
NOTHING = frozenset(
    "add sub rsub neg mean sum cat stack constant_pad_nd clone copy _to_copy _reshape_copy contiguous roll"
    " flip pixel_shuffle pixel_unshuffle repeat fill zero zeros_like ones_like empty_like zeros ones full"
    " arange"
    " upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_bilinear2d upsample_bicubic2d"
    " upsample_linear1d upsample_trilinear3d cumsum tril triu eq ne lt le gt ge logical_not bitwise_not"
    " unfold im2col col2im floor ceil round sign detach adaptive_avg_pool1d adaptive_avg_pool2d"
    " adaptive_avg_pool3d".split()
)
"""Operators whose gradient needs no values; adaptive pooling to one number, as most of it is, is a mean."""
PRODUCTS = frozenset("mul div mm bmm matmul addcmul".split())
"""Operators that save each tensor only for the gradient of another one."""
MATRIX_KINDS = frozenset({"conv", "conv_depthwise", "conv_grouped", "gemm", "bmm"})
STATISTICS = frozenset(
    "batch_norm native_batch_norm layer_norm native_layer_norm group_norm native_group_norm".split()
)
INDEX_BYTES = 8
NUMBER_BYTES = 4


def saved_by(operators: Sequence[Operator]) -> list[list[int]]:
    """For each operator, the sizes of the memory that is kept for its backward pass and for none before it.

    Memory that several save counts once, for the first of them: going back, it is the last to let go. Weights
    are not in it. What an operator without a formula here saves is its inputs and its output.
    """
    seen: set[Key] = set()
    found = []
    for index, operator in enumerate(operators):
        sizes = []
        for key, size in _saved(index, operator, operators):
            if key not in seen:
                seen.add(key)
                sizes.append(size)
        found.append(sizes)
    return found


def _saved(index: int, operator: Operator, operators: Sequence[Operator]) -> Iterator[tuple[Key, int]]:
    name = operator.name.rstrip("_") if not operator.name.startswith("__") else operator.name
    in_place = operator.name != name
    output = ("memory", index, 0), operator.bytes_written
    if name in NOTHING:
        return
    if name in OUTPUT:
        yield output
        return
    if name in PRODUCTS and len(operator.sources) < 2 and not operator.weight_bytes:
        return  # by a number
    if in_place and operator.kind == "pointwise" and name not in PRODUCTS:
        yield ("copy", index, 0), operator.bytes_written  # autograd keeps what is overwritten
        return
    for source, size in operator.sources:
        yield _memory(source, size, operators)
    yield from _besides(name, index, operator, output)


def _besides(name: str, index: int, operator: Operator, output: tuple[Key, int]) -> Iterator[tuple[Key, int]]:
    """What is saved besides inputs: statistics, indices, outputs."""
    if name in STATISTICS:
        yield ("statistics", index, 0), _statistics(operator)
    elif name.startswith(("max_pool", "adaptive_max_pool")):
        yield (
            ("indices", index, 0),
            INDEX_BYTES * (operator.dim("outputs") or operator.bytes_written // NUMBER_BYTES),
        )
    elif operator.kind == "sdpa":
        yield output
        rows = (operator.dim("batch") or 0) * (operator.dim("heads") or 0) * (operator.dim("queries") or 0)
        yield ("statistics", index, 0), NUMBER_BYTES * rows
    elif operator.kind in ("rnn", "fft", "custom") or not operator.known:
        yield output


def _statistics(operator: Operator) -> int:
    """A mean and an inverse deviation for each channel of a batch norm, or each row of a layer norm; those of
    the groups of a group norm are too few to count."""
    if "batch" in operator.name:
        return operator.weight_bytes // 2
    row = operator.weight_bytes // 2 if "layer" in operator.name else 0
    return 2 * NUMBER_BYTES * (operator.bytes_written // row) if row else 0


def _memory(source: int, size: int, operators: Sequence[Operator]) -> tuple[Key, int]:
    """The memory that an operator wrote, whole where only a part of it is read; or an input."""
    if source < 0:
        return ("input", source, size), size
    return ("memory", source, 0), max(size, operators[source].bytes_written)
