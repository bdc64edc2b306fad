"""The costs of a study: what every architecture takes on every target, known before it is trained."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nas.costs.confidence import cost_of
from nas.costs.cost import COST_NAMES, DEFAULT_MODEL, Cost
from nas.search.contracts import Price

if TYPE_CHECKING:
    from nas.costs.table import CostTable
    from nas.costs.tracing import TraceCache
    from nas.plugins import Registry
    from nas.search.study import StudySpec
    from nas.search.trial import TrialRequest
    from nas.spaces import Space
    from nas.spaces.architecture import Architecture


def is_cost(name: str) -> bool:
    """Whether an objective or constraint names a cost, which is known without an evaluation."""
    return cost_of(name) in COST_NAMES


def known_prices(
    spec: StudySpec, table: CostTable, proxies: Mapping[str, Price] | None = None
) -> Mapping[str, Price]:
    """The known objectives and constrained costs of a study, by name; `proxies` are those it optimises."""
    names = [o.name for o in spec.objectives] + [c.name for c in spec.constraints]
    costs = {name: table.price(name) for name in dict.fromkeys(names) if is_cost(name)}
    return {**costs, **(proxies or {})}


def proxy_objectives(spec: StudySpec, registry: Registry) -> tuple[str, ...]:
    """The objectives of a study that are zero-cost proxies: neither costs nor metrics of its task."""
    metrics = registry.tasks[spec.data.partition(":")[0]].metrics
    names = [o.name for o in spec.objectives if not is_cost(o.name) and o.name not in metrics]
    return tuple(name for name in names if name in registry.proxies)


def needs_training(spec: StudySpec, registry: Registry) -> bool:
    """Whether anything that a study asks for is only found by training."""
    names = {o.name for o in spec.objectives} | {c.name for c in spec.constraints}
    known = {name for name in names if is_cost(name)} | {*proxy_objectives(spec, registry)}
    return names != known


def untrained(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    """The evaluation of a trial of which everything is known."""
    yield {}


def study_table(
    spec: StudySpec, space: Space, registry: Registry, traces: TraceCache | None = None
) -> CostTable:
    """The cost table of a study's space on its targets; what `traces` holds is not traced again."""
    from nas.costs import CostTable
    from nas.studies.options import resolve_targets

    targets = resolve_targets(spec.targets, dict(spec.target_overrides), registry)
    return CostTable(space, targets, registry=registry, model=spec.cost_model, cache=traces)


def check_feasible(spec: StudySpec, space: Space, table: CostTable) -> None:
    """Raises UsageError, with the nearest value seen, where no architecture keeps the constrained costs.

    Its second line says how to look closer, and how to search all the same.
    """
    if not spec.constraints:
        return
    from nas.search.feasibility import NothingAllowedError, find_allowed
    from nas.search.prices import Pricing

    try:
        find_allowed(space, Pricing(known_prices(spec, table), spec.constraints), spec.seed)
    except NothingAllowedError as error:
        raise NothingAllowedError(
            f"{error}\nLook closer, or search all the same with --force: {_profile_command(spec)}"
        ) from None


def _profile_command(spec: StudySpec) -> str:
    """The command line that profiles the space of a study under its constrained costs."""

    words = ["nas", "profile", "--space", spec.space]
    for target in spec.targets:
        words += ["--target", target]
    for constraint in spec.constraints:
        if is_cost(constraint.name):
            words += ["--constraint", f"{constraint.name}{constraint.operator}{constraint.limit:.12g}"]
    if spec.cost_model != DEFAULT_MODEL:
        words += ["--cost-model", spec.cost_model]
    for name, value in spec.target_overrides:
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


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
