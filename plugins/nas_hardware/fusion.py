"""Which operators a runtime runs inside the kernel of another one, and what is left of their traffic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nas.costs.operators import Operator

FUSED_KINDS = frozenset({"pointwise"})
"""What joins the kernel that made its input."""
_PRODUCERS = frozenset({"conv", "conv_depthwise", "conv_grouped", "gemm", "bmm", "norm", "pointwise"})
PRODUCERS: Mapping[str, frozenset[str]] = {
    "eager": frozenset(),
    "compiled": _PRODUCERS,
    "onnxruntime": _PRODUCERS,
    "tflite": _PRODUCERS | {"sparse"},  # XNNPACK's sparse kernels clamp what they store
    "tensorrt": _PRODUCERS,
    "whole-model": _PRODUCERS,
}
"""Runtime → the kinds whose kernels take in the pointwise operators behind them."""
FOLDED_NAME = "batch_norm"
FOLDING = frozenset({"onnxruntime", "tflite", "tensorrt", "whole-model"})
"""Runtimes that fold a norm with fixed moments into the weights in front of it before they run a network:
`nas.blocks.fuse` does so with the modules that it knows, they do with every operator."""
WEIGHTED = frozenset({"conv", "conv_depthwise", "conv_grouped", "gemm"})
"""The kinds whose weights take it in."""


@dataclass(frozen=True)
class Step:
    """An operator as a runtime executes it: what it still moves, and whether it is a kernel. One that is
    folded into weights has no arithmetic left."""

    operator: Operator
    bytes_moved: int
    is_kernel: bool


def executed(operators: Sequence[Operator], runtime: str) -> list[Step]:
    """The operators of a trace as a runtime executes them, in order.

    A pointwise operator joins the kernel that made its input where that kernel is the last it waits for and
    its output is of the same size. Its launch and the read of the intermediate vanish; where nobody else
    reads the intermediate, the kernel writes the result in its place and no second write is left. Of a norm
    that is folded nothing is left.
    """
    producers = PRODUCERS[runtime]
    readers = Counter(index for operator in operators for index in {source for source, _ in operator.sources})
    heads: list[int] = []
    steps = []
    for index, operator in enumerate(operators):
        folded = _folded(operator, operators, readers) if runtime in FOLDING else None
        source = _joined(operator, operators, heads, producers) if folded is None else folded
        if source is None:
            heads.append(index)
            steps.append(Step(operator, operator.bytes_moved, True))
            continue
        heads.append(heads[source])
        if folded is not None:
            steps.append(Step(replace(operator, flops=0), 0, False))
            continue
        size = operators[source].bytes_written
        saved = 2 * size if readers[source] == 1 else size
        steps.append(Step(operator, max(0, operator.bytes_moved - saved), False))
    return steps


def _folded(operator: Operator, operators: Sequence[Operator], readers: Mapping[int, int]) -> int | None:
    """The operator whose weights take this norm in, or None: one that only the norm reads."""
    if operator.name != FOLDED_NAME or len(operator.sources) != 1:
        return None
    ((source, _),) = operator.sources
    is_alone = source >= 0 and readers[source] == 1 and operators[source].kind in WEIGHTED
    return source if is_alone else None


def _joined(
    operator: Operator, operators: Sequence[Operator], heads: Sequence[int], producers: frozenset[str]
) -> int | None:
    """The operator whose kernel this one joins, or None."""
    if operator.kind not in FUSED_KINDS:
        return None
    sources = [(heads[index], index, size) for index, size in operator.sources if index >= 0]
    if not sources:
        return None
    _, index, size = max(sources)
    same_size = size == operator.bytes_written == operators[index].bytes_written
    return index if same_size and operators[index].kind in producers else None
