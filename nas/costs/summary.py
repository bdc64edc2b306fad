"""What a cost says at a glance: the largest operators, the time of each block, what to beware of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas.costs.cost import Cost, OperatorCost
from nas.costs.target import Target
from nas.costs.waterline import block_path


@dataclass(frozen=True)
class ModuleTime:
    """A block of a network, and the milliseconds of its operators on each of several targets."""

    module: str
    latencies: tuple[float, ...]


def largest_operators(cost: Cost, number: int) -> list[OperatorCost]:
    """The operators that take longest, the longest first."""
    return sorted(cost.operators, key=lambda operator: -operator.latency_ms)[:number]


def module_times(costs: Sequence[Cost], number: int) -> tuple[ModuleTime, ...]:
    """The blocks that take the largest share of the time on any of the targets, the largest first.

    A block is what stands in a numbered container: ``layers.3``, ``stages.0.blocks.1``. Operators outside of
    every module stand under the empty name.
    """
    columns = [_by_module(cost) for cost in costs]
    totals = [sum(column.values()) or 1.0 for column in columns]
    rows = [
        ModuleTime(module, tuple(column.get(module, 0.0) for column in columns))
        for module in dict.fromkeys(module for column in columns for module in column)
    ]
    rows.sort(key=lambda row: -max(part / total for part, total in zip(row.latencies, totals, strict=True)))
    return tuple(rows[:number])


def _by_module(cost: Cost) -> dict[str, float]:
    found: dict[str, float] = {}
    for operator in cost.operators:
        module = block_path(operator.module)
        found[module] = found.get(module, 0.0) + operator.latency_ms
    return found


def warnings(cost: Cost, target: Target) -> tuple[str, ...]:
    """What a reader of a cost must know: operators without a rule, more memory than the device has."""
    found = []
    total = sum(operator.latency_ms for operator in cost.operators)
    for name in cost.unknown_operators:
        time = sum(op.latency_ms for op in cost.operators if op.name == name and not op.known)
        share = f" ({100 * time / total:.0f} % of the time)" if total and time else ""
        found.append(f"operator {name} has no rule: priced by its bytes{share}, and the interval is wider")
    memory = target.figures.get("memory_gb")
    if memory is not None and cost.peak_memory_bytes > memory.value * 1e9:
        found.append(
            f"needs {cost.peak_memory_bytes / 1e9:.3g} GB at its peak, and the device has "
            f"{memory.value:g} GB: it does not fit, and its latency says nothing"
        )
    return tuple(found)
