"""What a space holds on named hardware, looked at before a trial is spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.confidence import MEDIAN, split_quantile
from nas.costs.cost import COST_NAMES, DEFAULT_MODEL
from nas.errors import UnknownNameError, UsageError
from nas.search.objective import MAXIMISED, Constraint
from nas.search.per_target import INDEPENDENT
from nas.search.seeding import generator
from nas.studies.downhill import go_downhill
from nas.studies.limits import LimitProfile, binding, kept, limit_profiles
from nas.studies.options import cost_names, read_constraints, resolve_targets, target_overrides
from nas.studies.traces import StoredTraces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.table import CostColumns, CostTable
    from nas.costs.target import Target
    from nas.plugins.registry import Registry
    from nas.spaces.space import Space

SCARCE = 0.01
"""The share of samples below which a limit would rather be loosened."""


@dataclass(frozen=True)
class ProfileOptions:
    """The options of ``nas profile``, as written; None leaves the choice to the target.

    `store` keeps what layers execute, where it exists; nothing else is read there.
    """

    space: str = "mobile"
    targets: tuple[str, ...] = ("a100",)
    constraints: tuple[str, ...] = ()
    cost_model: str = DEFAULT_MODEL
    samples: int = 1_000
    seed: int = 0
    precision: str | None = None
    batch_size: int | None = None
    runtime: str | None = None
    layout: str | None = None
    confidence: float = MEDIAN
    store: str | None = None


@dataclass(frozen=True)
class CostSpread:
    """The range of one cost over the samples, in its base unit; `target` is None where it is that of all."""

    cost: str
    target: str | None
    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True)
class SpaceProfile:
    """A space as its samples show it.

    `targets` maps names to labels, `tiers` to what the costs there rest on. `samples` were looked at, all
    architectures of the space where `is_whole`; `together` of them keep every constraint. `downhill` more
    were met on the way down in each constrained cost, and `downhill_together` of those keep every
    constraint.
    """

    space: str
    size: int
    decisions: int
    targets: Mapping[str, str]
    cost_model: str
    seed: int
    samples: int
    is_whole: bool
    spreads: tuple[CostSpread, ...]
    limits: tuple[LimitProfile, ...]
    together: int
    downhill: int = 0
    downhill_together: int = 0
    tiers: Mapping[str, str] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The share of the samples that keep every constraint."""
        return self.together / self.samples

    @property
    def is_scarce(self) -> bool:
        """Whether so few samples keep the constraints that one of them would rather be loosened."""
        return bool(self.limits) and self.share < SCARCE

    @property
    def binding(self) -> LimitProfile | None:
        """The constraint that removes most of what the others leave; None where none removes anything."""
        return binding(self.limits, self.together)

    @property
    def loosened(self) -> tuple[LimitProfile, ...]:
        """The constraints that could be loosened by themselves until something seen keeps them all.

        Empty where enough samples, or one that was found downhill, keep them as they are.
        """
        if self.together or self.downhill_together:
            return ()
        return tuple(limit for limit in self.limits if limit.tightest is not None)


def profile_space(options: ProfileOptions, registry: Registry) -> SpaceProfile:
    """Samples the space, or lists it where it is no larger than the samples, and prices all at once.

    Raises InputError for a space, target, cost model or constraint that is none, and for a constraint on what
    only an evaluation tells.
    """
    from nas.costs import CostTable
    from nas.spaces import load_space

    space = load_space(options.space, registry)
    targets = resolve_targets(options.targets, target_overrides(options), registry)
    limits = read_constraints(options.constraints, options.confidence)
    constraints = checked_constraints(limits, targets, registry)
    registry.cost_models[options.cost_model]
    traces = StoredTraces(options.store)
    table = CostTable(space, targets, registry=registry, model=options.cost_model, cache=traces)
    return profile_of(space, table, constraints, options)


def checked_constraints(
    constraints: tuple[Constraint, ...], targets: tuple[Target, ...], registry: Registry
) -> tuple[Constraint, ...]:
    """The constraints, each on a cost of these targets; UsageError where one is on a metric of a task."""
    metrics = MAXIMISED.union(*(registry.tasks[name].metrics for name in registry.tasks))
    for constraint in constraints:
        if constraint.name in metrics:
            raise UsageError(
                f"constraint {str(constraint)!r} is on a metric, which only training tells: it cannot be "
                f"profiled.\nLeave it to 'nas search'; a profile takes {', '.join(COST_NAMES)}."
            )
        if split_quantile(constraint.name)[0] not in cost_names(targets):
            raise UnknownNameError("cost", constraint.name, cost_names(targets))
    return constraints


def profile_of(
    space: Space, table: CostTable, constraints: tuple[Constraint, ...], options: ProfileOptions
) -> SpaceProfile:
    """The profile of a space on the targets of a table; of `options` the samples and the seed count."""
    is_whole = space.size() <= options.samples
    rng = generator(options.seed, "profile")
    vectors = np.array(list(space.enumerate())) if is_whole else space.sample_vectors(options.samples, rng)
    columns = table.costs(vectors)

    def limited(population: NDArray[np.int64]) -> NDArray[np.float64]:
        return _limited(table.costs(population), constraints)

    samples = _limited(columns, constraints)
    needs_way = bool(constraints) and not is_whole
    downhill = go_downhill(space, constraints, vectors, limited, rng) if needs_way else samples[:0]
    return SpaceProfile(
        space=space.name,
        size=space.size(),
        decisions=len(space.decisions),
        targets={target.name: target.label for target in table.targets},
        cost_model=options.cost_model,
        seed=options.seed,
        samples=len(vectors),
        is_whole=is_whole,
        spreads=_spreads(columns),
        limits=limit_profiles(constraints, samples, np.concatenate([samples, downhill])),
        together=_together(constraints, samples),
        downhill=len(downhill),
        downhill_together=_together(constraints, downhill),
        tiers=table.tiers,
    )


def _limited(columns: CostColumns, constraints: tuple[Constraint, ...]) -> NDArray[np.float64]:
    """The constrained costs, of shape (n, constraints)."""
    found = [columns.column(constraint.name) for constraint in constraints]
    return np.stack(found, axis=1) if found else np.empty((len(columns), 0))


def _together(constraints: tuple[Constraint, ...], values: NDArray[np.float64]) -> int:
    return int(kept(constraints, values).all(axis=1).sum()) if constraints else len(values)


def _spreads(columns: CostColumns) -> tuple[CostSpread, ...]:
    """The ranges of every cost: those that differ between targets for each, the others once."""
    names = [(cost, target) for target in columns.targets for cost in COST_NAMES if cost not in INDEPENDENT]
    shared = [(cost, None) for cost in COST_NAMES if cost in INDEPENDENT]
    return tuple(_spread(columns, cost, target) for cost, target in [*names, *shared])


def _spread(columns: CostColumns, cost: str, target: str | None) -> CostSpread:
    values = columns.column(cost if target is None else f"{cost}@{target}")
    return CostSpread(cost, target, float(values.min()), float(np.median(values)), float(values.max()))
