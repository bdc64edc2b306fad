"""Which operators a runtime runs inside the kernel of another one, and what is left of their traffic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.costs.operators import Operator
    from nas.costs.target import Target

_WEIGHTED = frozenset({"conv", "conv_depthwise", "conv_grouped", "gemm"})
_EPILOGUES = {"pointwise": _WEIGHTED | {"bmm", "norm", "pointwise"}}
JOINED: Mapping[str, Mapping[str, frozenset[str]]] = {
    "eager": {},
    "compiled": {
        "pointwise": frozenset({"norm", "pointwise", "softmax"}),
        "softmax": frozenset({"pointwise"}),
    },
    "onnxruntime": _EPILOGUES,
    # XNNPACK's sparse kernels clamp what they store.
    "tflite": {"pointwise": _EPILOGUES["pointwise"] | {"sparse"}},
    "tensorrt": _EPILOGUES,
    "whole-model": _EPILOGUES,
}
"""Runtime → kind → the kinds whose kernels take in an operator of that kind behind them. `torch.compile`
writes the kernels of what streams, and calls a library for convolutions and products, which take nothing in:
ResNet-50 became 1.1 to 1.3 times as fast by it on V100 and T4 in single precision at batch 4 and 16
(huggingface/transformers, ``perf_torch_compile.md``), less than taking in all that follows a convolution
would save. That it joins a norm to the sum in front of it is left out."""
WHOLE_COMPILERS = frozenset({"tpu", "npu"})
"""Device classes whose compilers write convolutions and products too."""
INPUT = -1
"""What an operator reads that no other one made."""
FOLDED_NAME = "batch_norm"
FOLDING = frozenset({"onnxruntime", "tflite", "tensorrt", "whole-model"})
"""Runtimes that fold a norm with fixed moments into the weights in front of it before they run a network:
`nas.blocks.fuse` does so with the modules that it knows, they do with every operator."""


@dataclass(frozen=True)
class Step:
    """An operator as a runtime executes it: what it still moves, and whether it is a kernel. One that is
    folded into weights has no arithmetic left."""

    operator: Operator
    bytes_moved: int
    is_kernel: bool


def rules_of(target: Target) -> str:
    """The runtime by whose rules the operators of a target join."""
    is_whole = target.runtime == "compiled" and target.device.device_class in WHOLE_COMPILERS
    return "whole-model" if is_whole else target.runtime


def executed(operators: Sequence[Operator], runtime: str, input_kind: str = "") -> list[Step]:
    """The operators of a trace as a runtime executes them, in order; its input was made by a kernel of
    `input_kind`, where it is that of a layer behind others.

    An operator joins the kernel that made its input where the runtime joins the two (JOINED), that kernel is
    the last it waits for and its output is of the same size. Its launch and the read of the intermediate
    vanish; where nobody else reads the intermediate, the kernel writes the result in its place and no second
    write is left. Of a norm that is folded nothing is left.
    """
    joined = JOINED[runtime]
    readers = Counter(index for operator in operators for index in {source for source, _ in operator.sources})
    kinds = {INPUT: input_kind} | {index: operator.kind for index, operator in enumerate(operators)}
    heads = {INPUT: INPUT}
    steps = []
    for index, operator in enumerate(operators):
        folded = _folded(operator, kinds, readers) if runtime in FOLDING else None
        producers = joined.get(operator.kind, frozenset())
        source = _joined(operator, operators, heads, kinds, producers) if folded is None else folded
        if source is None:
            heads[index] = index
            steps.append(Step(operator, operator.bytes_moved, True))
            continue
        heads[index] = heads[source]
        if folded is not None:
            steps.append(Step(replace(operator, flops=0), 0, False))
            continue
        size = operator.bytes_written
        saved = 2 * size if readers[source] == 1 else size
        steps.append(Step(operator, max(0, operator.bytes_moved - saved), False))
    return steps


def _folded(operator: Operator, kinds: Mapping[int, str], readers: Mapping[int, int]) -> int | None:
    """The operator whose weights take this norm in, or None: one that only the norm reads."""
    if operator.name != FOLDED_NAME or len(operator.sources) != 1:
        return None
    ((source, _),) = operator.sources
    return source if readers[source] == 1 and kinds[source] in _WEIGHTED else None


def _joined(
    operator: Operator,
    operators: Sequence[Operator],
    heads: Mapping[int, int],
    kinds: Mapping[int, str],
    producers: frozenset[str],
) -> int | None:
    """The operator, or the input, whose kernel this one joins, or None."""
    if not operator.sources:
        return None
    _, index, size = max((heads[index], index, size) for index, size in operator.sources)
    is_whole = index == INPUT or size == operators[index].bytes_written
    return index if is_whole and size == operator.bytes_written and kinds[index] in producers else None
