"""The costs of a study: what every architecture takes on every target, known before it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nas.costs.cost import COST_NAMES, Cost
from nas.search.contracts import Price

if TYPE_CHECKING:
    from nas.costs.table import CostTable
    from nas.plugins import Registry
    from nas.search.study import StudySpec
    from nas.spaces import Space
    from nas.spaces.architecture import Architecture


def is_cost(name: str) -> bool:
    """Whether an objective or constraint names a cost, which is known without an evaluation."""
    return name.partition("@")[0] in COST_NAMES


def known_prices(spec: StudySpec, table: CostTable) -> Mapping[str, Price]:
    """The known objectives and constrained costs of a study, by name."""
    names = [o.name for o in spec.objectives] + [c.name for c in spec.constraints]
    return {name: table.price(name) for name in dict.fromkeys(names) if is_cost(name)}


def study_table(spec: StudySpec, space: Space, registry: Registry) -> CostTable:
    """The cost table of a study's space on its targets."""
    from nas.costs import CostTable
    from nas.studies.options import resolve_targets

    targets = resolve_targets(spec.targets, dict(spec.target_overrides), registry)
    return CostTable(space, targets, registry=registry, model=spec.cost_model)


def check_feasible(spec: StudySpec, space: Space, table: CostTable) -> None:
    """Raises UsageError, with the nearest value seen, where no architecture keeps the constrained costs."""
    if not spec.constraints:
        return
    from nas.search.feasibility import find_allowed
    from nas.search.prices import Pricing

    find_allowed(space, Pricing(known_prices(spec, table), spec.constraints), spec.seed)


class StudyCosts:
    """Prices architectures on all targets of a study: what the store keeps beside each trial."""

    def __init__(self, table: CostTable) -> None:
        self._table = table

    def __call__(self, architectures: Sequence[Architecture]) -> list[tuple[Cost, ...]]:
        """For each architecture, its cost on each target."""
        names = [target.name for target in self._table.targets]
        return [
            tuple(self._table.cost(architecture, name) for name in names) for architecture in architectures
        ]
