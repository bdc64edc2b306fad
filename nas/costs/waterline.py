"""The waterline: a roofline for a sequence of kernels, with and without fusion of blocks.

Each kernel takes ``max(operations / peak, bytes / bandwidth)`` and the sequence takes the sum. A kernel whose
operations per byte lie below those of the target (the waterline) is bound by memory, however fast its
arithmetic. Fusing a block leaves its input, its output and its weights to move, and nothing in between
(arXiv:2404.03617).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from nas.costs.operators import Operator
from nas.costs.speed import Speed


@dataclass(frozen=True)
class WaterlinePoint:
    """One kernel of a sequence: an operator, or a fused block of them.

    `module` is the path of the module or block, `kind` that of the operator with the most arithmetic.
    `flops` and `bytes_moved` are for the batch, times in milliseconds; `waterline` is the operations per byte
    at which both bounds of this kernel are equal.
    """

    module: str
    kind: str
    macs: int
    flops: int
    bytes_moved: int
    compute_ms: float
    memory_ms: float
    waterline: float
    operators: int = 1

    @property
    def time_ms(self) -> float:
        """The least time on the target: the longer of arithmetic and traffic."""
        return max(self.compute_ms, self.memory_ms)

    @property
    def intensity(self) -> float:
        """Operations per byte; infinite where nothing is moved."""
        return self.flops / self.bytes_moved if self.bytes_moved else math.inf

    @property
    def efficiency(self) -> float:
        """The share of the peak that the kernel can reach at most: 1 above the waterline."""
        return self.compute_ms / self.time_ms if self.time_ms else 1.0

    @property
    def bound(self) -> str:
        """``compute`` at or above the waterline, ``memory`` below it."""
        return "compute" if self.compute_ms >= self.memory_ms else "memory"


def waterline(
    operators: Sequence[Operator], speed: Speed, *, block_of: Callable[[str], str] | None = None
) -> tuple[WaterlinePoint, ...]:
    """The kernels of a sequence, in order, as far as the target's speed bounds them.

    Without `block_of` each operator is a kernel. With it, neighbours whose module paths give the same block
    are one kernel that moves its input, its output and its weights only; `block_path` is one for modules
    whose blocks stand in numbered containers.

    >>> conv = Operator("convolution", "conv", "conv", 50, 100, 30, 20, 10)
    >>> [(point.time_ms, point.bound) for point in waterline([conv], Speed(20.0, 10.0, 5.0))]
    [(10.0, 'memory')]
    """
    readers = _readers(operators)
    return tuple(
        _point(name, members, operators, readers, speed) for name, members in _kernels(operators, block_of)
    )


def block_path(module: str) -> str:
    """The block that a module path lies in, for `waterline`; a path without numbers stands for itself.

    It ends at the first numbered member of a container, or at the deepest one of a container with a plural
    name.

    >>> block_path("stages.0.blocks.1.conv_dw"), block_path("features.3.conv.0.0"), block_path("layer1.0.bn1")
    ('stages.0.blocks.1', 'features.3', 'layer1.0')
    """
    parts = module.split(".")
    end = 0
    for index, (container, part) in enumerate(pairwise(parts), start=1):
        is_plural = container.endswith("s")
        is_member = part[:1].isdigit() or (is_plural and part[-1:].isdigit())
        if is_member and (is_plural or end in (0, index)):
            end = index + 1
    return ".".join(parts[:end]) if end else module


def sequence_efficiency(points: Iterable[WaterlinePoint]) -> float:
    """The share of the peak that a whole sequence can reach: arithmetic time over total time; 1 for none."""
    times = [(point.compute_ms, point.time_ms) for point in points]
    total = sum(time for _, time in times)
    return sum(compute for compute, _ in times) / total if total else 1.0


def _kernels(
    operators: Sequence[Operator], block_of: Callable[[str], str] | None
) -> Iterator[tuple[str, range]]:
    """Each kernel's name and the indices of its operators."""
    if block_of is None:
        yield from ((operator.module, range(i, i + 1)) for i, operator in enumerate(operators))
        return
    start = 0
    for name, group in groupby(block_of(operator.module) for operator in operators):
        end = start + sum(1 for _ in group)
        yield name, range(start, end)
        start = end


def _readers(operators: Sequence[Operator]) -> dict[int, int]:
    """Operator → the last that reads what it makes."""
    return {source: index for index, operator in enumerate(operators) for source, _ in operator.sources}


def _point(
    name: str, members: range, operators: Sequence[Operator], readers: dict[int, int], speed: Speed
) -> WaterlinePoint:
    parts = [operators[index] for index in members]
    largest = max(parts, key=lambda operator: operator.flops)
    flops = sum(operator.flops for operator in parts)
    compute = sum(speed.compute_ms(operator) for operator in parts)
    moved = parts[0].bytes_moved if len(parts) == 1 else _fused_bytes(members, operators, readers)
    return WaterlinePoint(
        module=name,
        kind=largest.kind,
        macs=sum(operator.macs for operator in parts),
        flops=flops,
        bytes_moved=moved,
        compute_ms=compute,
        memory_ms=speed.memory_ms(moved),
        waterline=flops / compute / speed.bandwidth if compute else speed.ridge,
        operators=len(parts),
    )


def _fused_bytes(members: range, operators: Sequence[Operator], readers: dict[int, int]) -> int:
    """What a kernel of several operators moves: each input once, the weights, and what others read of it."""
    inputs: dict[int, int] = {}
    own = written = 0
    for index in members:
        operator = operators[index]
        own += operator.bytes_read - sum(size for _, size in operator.sources)
        for source, size in operator.sources:
            if source not in members:
                inputs[source] = max(inputs.get(source, 0), size)
        if readers.get(index, members.stop) >= members.stop:
            written += operator.bytes_written
    return sum(inputs.values()) + own + written
