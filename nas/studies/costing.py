"""The costs of a study: what every architecture takes on every target, known before it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nas.costs.cost import COST_NAMES, Cost
from nas.search.contracts import Price

if TYPE_CHECKING:
    from nas.costs.table import CostTable
    from nas.costs.target import Target
    from nas.search.study import StudySpec
    from nas.spaces.architecture import Architecture


def is_cost(name: str) -> bool:
    """Whether an objective or constraint names a cost, which is known without an evaluation."""
    return name.partition("@")[0] in COST_NAMES


def known_prices(spec: StudySpec, table: CostTable) -> Mapping[str, Price]:
    """The known objectives and constrained costs of a study, by name."""
    names = [o.name for o in spec.objectives] + [c.name for c in spec.constraints]
    return {name: table.price(name) for name in dict.fromkeys(names) if is_cost(name)}


class StudyCosts:
    """Prices architectures on all targets of a study: what the store keeps beside each trial."""

    def __init__(self, table: CostTable, targets: Sequence[Target]) -> None:
        self._table = table
        self._targets = targets

    def __call__(self, architectures: Sequence[Architecture]) -> list[tuple[Cost, ...]]:
        """For each architecture, its cost on each target."""
        return [
            tuple(self._table.cost(architecture, target.name) for target in self._targets)
            for architecture in architectures
        ]
