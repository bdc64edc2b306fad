"""A study seen from other hardware: every stored trial priced again, the front there, what to train next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nas.costs.confidence import MEDIAN, check_confidence, split_quantile
from nas.errors import SpaceError, UsageError
from nas.search.objective import Constraint, Objective
from nas.search.per_target import INDEPENDENT, objectives_on
from nas.search.prices import Pricing
from nas.search.runs import averaged, mean_results
from nas.search.study import StudySpec
from nas.search.trial import TrialResult, TrialState
from nas.studies.costing import StudyCosts, is_cost, known_prices, study_table
from nas.studies.front import study_front
from nas.studies.traces import StoredTraces
from nas.studies.warm_start import check_trainable, joined, study_sources

if TYPE_CHECKING:
    from nas.costs.cost import Cost
    from nas.costs.table import CostTable
    from nas.plugins import Registry
    from nas.search.contracts import Price
    from nas.spaces import Space
    from nas.spaces.architecture import Architecture
    from nas.store import Store, TrialRecord

SEARCHER = "pareto"
SUGGESTIONS = 3


@dataclass(frozen=True)
class RetargetOptions:
    """Where to look from: target references, what completes them, and how many networks to suggest.

    `overrides` holds precision, batch size, runtime and layout where they are given. A constraint replaces
    those of the study on the same cost or metric. `confidence` is the probability with which all that are on
    a predicted latency are kept; where it is None, each keeps its own, and a new one has that of what it
    replaces.
    """

    targets: tuple[str, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    suggestions: int = SUGGESTIONS
    confidence: float | None = None


@dataclass(frozen=True)
class Suggestion:
    """A network that no trial has trained: its known objectives, and its cost on each new target."""

    architecture: Architecture
    known: Mapping[str, float]
    costs: tuple[Cost, ...]


@dataclass(frozen=True)
class Retargeting:
    """A study on other targets.

    `spec` is the study as if it had been searched there: its objectives, constraints and targets are those of
    the new targets, and so are the costs of `trials`, all the stored ones. `old_front`, `front` and those of
    `fronts`, one for each new target, are trial numbers, the cheapest first. `note` says why nothing is
    suggested.
    """

    spec: StudySpec
    trials: tuple[TrialRecord, ...]
    old_front: tuple[int, ...]
    front: tuple[int, ...]
    fronts: Mapping[str, tuple[int, ...]]
    suggestions: tuple[Suggestion, ...] = ()
    note: str = ""

    @property
    def members(self) -> Mapping[int, TrialRecord]:
        """The trials of the fronts by number, those of an architecture with several runs as their mean."""
        runs: dict[str, list[TrialRecord]] = {}
        for trial in self.trials:
            if trial.state is TrialState.FINISHED:
                runs.setdefault(trial.architecture.hash, []).append(trial)
        measured = [o.name for o in self.spec.objectives if not is_cost(o.name)]
        return {
            found[0].number: averaged(found, measured) if len(found) > 1 else found[0]
            for found in runs.values()
        }

    @property
    def stayed(self) -> tuple[int, ...]:
        """Those of the front that were on the old one."""
        return tuple(number for number in self.front if number in self.old_front)

    @property
    def new(self) -> tuple[int, ...]:
        """Those of the front that were not on the old one."""
        return tuple(number for number in self.front if number not in self.old_front)

    @property
    def left(self) -> tuple[int, ...]:
        """Those of the old front that are not on the new one."""
        return tuple(number for number in self.old_front if number not in self.front)


def retarget(store: Store, study: str, options: RetargetOptions, registry: Registry) -> Retargeting:
    """A stored study priced and judged on other targets; nothing is trained and nothing is written.

    Raises UnknownNameError for a study or target that does not exist, MissingPluginError where a plugin that
    the study uses is not loaded.
    """
    from nas.studies.plugins import check_plugins

    old = StudySpec.from_json(store.study(study).spec)
    check_plugins(store, study, registry)
    space = _space_of(old, registry)
    spec = retargeted_spec(old, options, registry)
    table = study_table(spec, space, registry, StoredTraces.of(store))
    trials = priced_again(store.trials(study), spec, table)
    results = mean_results((result_of(trial, spec) for trial in trials), ())
    reused = joined(study_sources(spec, space, store, table)).all
    suggestions, note = _Ground(spec, space, table, registry).suggest(
        [*reused, *results], options.suggestions
    )
    return Retargeting(
        spec=spec,
        trials=trials,
        old_front=tuple(trial.number for trial in study_front(store, old)),
        front=_front(results, spec, spec.objectives),
        fronts=_fronts(results, spec),
        suggestions=suggestions,
        note=note,
    )


def _space_of(spec: StudySpec, registry: Registry) -> Space:
    """The space of a study; UsageError where it holds no networks, as that of a function may."""
    from nas.spaces import parse_space

    try:
        return parse_space(spec.space_text, registry.blocks, origin=spec.space)
    except SpaceError:
        if spec.data.partition(":")[0] in registry.tasks:
            raise
        raise UsageError(
            f"study {spec.name!r} is a search over choices, not over networks: there is nothing to price"
        ) from None


def retargeted_spec(old: StudySpec, options: RetargetOptions, registry: Registry) -> StudySpec:
    """The study on the targets of `options`: what it asked of a cost there is asked of it here.

    ``latency`` and ``latency@a100`` become the latency of the new target, of each where there are several;
    parameters, MACs and metrics stay as they are.
    """
    from nas.studies.options import check_cost_names, resolve_targets

    overrides = {key: value for key, value in options.overrides.items() if value is not None}
    targets = resolve_targets(options.targets, overrides, registry)
    names = tuple(target.name for target in targets)
    given = tuple(Constraint.parse(text) for text in options.constraints)
    confidence = None if options.confidence is None else check_confidence(options.confidence)
    task = old.data.partition(":")[0]
    metrics = registry.tasks[task].metrics if task in registry.tasks else ()
    check_cost_names((constraint.name for constraint in given), targets, metrics, "constraint")
    return replace(
        old,
        targets=options.targets,
        target_names=names,
        target_labels=tuple(target.label for target in targets),
        target_overrides=tuple(sorted(overrides.items())),
        objectives=_objectives(old.objectives, names),
        constraints=_constraints(old.constraints, given, names, confidence),
    )


def _names(name: str, targets: Sequence[str]) -> tuple[str, ...]:
    """What an objective or limit is called on new targets: as ``nas search`` names the latency of them."""
    cost = name.partition("@")[0]
    if not is_cost(name):
        return (name,)
    if cost in INDEPENDENT or len(targets) == 1:
        return (cost,)
    return tuple(f"{cost}@{target}" for target in targets)


def _objectives(old: Sequence[Objective], targets: Sequence[str]) -> tuple[Objective, ...]:
    """Each once, with the direction of the first of its name."""
    named: dict[str, Objective] = {}
    for objective in old:
        for name in _names(objective.name, targets):
            named.setdefault(name, Objective(name, objective.direction))
    return tuple(named.values())


def _constraints(
    old: Iterable[Constraint],
    given: Iterable[Constraint],
    targets: Sequence[str],
    confidence: float | None = None,
) -> tuple[Constraint, ...]:
    """Those of the study, but where one on the same cost or metric is given: that one."""
    limits = [replace(limit, name=name) for limit in given for name in _given_names(limit.name, targets)]
    kept = [replace(limit, name=name) for limit in old for name in _names(limit.name, targets)]
    sure = {_median(limit): limit.confidence for limit in kept}
    if confidence is not None:
        kept = [replace(limit, name=_median(limit)).at(confidence) for limit in kept]
    replacing = [
        limit.at(sure.get(limit.name, MEDIAN) if confidence is None else confidence) for limit in limits
    ]
    replaced = {_median(limit) for limit in replacing}
    return tuple(dict.fromkeys([*(limit for limit in kept if _median(limit) not in replaced), *replacing]))


def _median(limit: Constraint) -> str:
    """The cost or metric that a limit is on, whatever the confidence."""
    return split_quantile(limit.name)[0]


def _given_names(name: str, targets: Sequence[str]) -> tuple[str, ...]:
    """The same for a name that was written for the new targets: one with ``@`` means that target alone."""
    _, _, target = name.partition("@")
    return tuple(n for n in _names(name, targets) if not target or n.partition("@")[2] in ("", target))


def priced_again(trials: Sequence[TrialRecord], spec: StudySpec, table: CostTable) -> tuple[TrialRecord, ...]:
    """Stored trials with the costs of a table in place of their own; what was measured in training stays."""
    architectures = [trial.architecture for trial in trials]
    known = Pricing(known_prices(spec, table)).values(architectures)
    priced = zip(trials, known, StudyCosts(table)(architectures), strict=True)
    return tuple(
        replace(trial, metrics={**_trained(trial), **values}, costs=costs) for trial, values, costs in priced
    )


def _trained(trial: TrialRecord) -> dict[str, float]:
    """The metrics of a trial that are no costs."""
    return {name: value for name, value in trial.metrics.items() if not is_cost(name)}


def result_of(trial: TrialRecord, spec: StudySpec) -> TrialResult:
    """What a searcher learns of a stored trial."""
    has_result = trial.state in (TrialState.FINISHED, TrialState.STOPPED)
    wanted = dict.fromkeys([o.name for o in spec.objectives] + [c.name for c in spec.constraints])
    values = {name: trial.metrics[name] for name in wanted if name in trial.metrics} if has_result else {}
    fidelity = trial.last_step if trial.state is TrialState.STOPPED else trial.fidelity
    return TrialResult(trial.architecture, trial.state, values, fidelity, trial.number)


def _front(
    results: Sequence[TrialResult], spec: StudySpec, objectives: Sequence[Objective]
) -> tuple[int, ...]:
    from nas.search.front import front_of

    return tuple(result.number for result in front_of(results, objectives, spec.constraints))


def _fronts(results: Sequence[TrialResult], spec: StudySpec) -> Mapping[str, tuple[int, ...]]:
    """The front of each target on which an objective counts."""
    own = {name: objectives_on(spec.objectives, spec.target_names, name) for name in spec.target_names}
    return {name: _front(results, spec, objectives) for name, objectives in own.items() if objectives}


def further_search(found: Retargeting) -> StudySpec:
    """The settings of a search that trains the suggestions: a study of its own, on the new targets.

    Raises UsageError where the study's trials are not trained by nas.
    """
    check_trainable(found.spec)
    there = "-".join(["", *found.spec.target_names]).lower()[:32]
    suffix = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in there)
    return replace(
        found.spec,
        name=found.spec.name[: 64 - len(suffix)] + suffix,
        searcher=SEARCHER,
        trials=max(1, len(found.suggestions)),
        baseline="",
        warm_start=(),
    )


@dataclass(frozen=True)
class _Ground:
    """Where the study would be searched on: its settings there, its space, and what a network takes there."""

    spec: StudySpec
    space: Space
    table: CostTable
    registry: Registry

    @property
    def known(self) -> Mapping[str, Price]:
        """The objectives and limits that are known of every network."""
        return known_prices(self.spec, self.table)

    def suggest(self, results: Sequence[TrialResult], number: int) -> tuple[tuple[Suggestion, ...], str]:
        """Networks that the searcher would train next after these results, and why there are none."""
        from nas.search.feasibility import find_allowed

        if number == 0:
            return (), ""
        pricing = Pricing(self.known, self.spec.constraints)
        try:
            find_allowed(self.space, pricing, self.spec.seed)
        except UsageError as error:
            return (), str(error)
        found = self._ask(results, number)
        if not found:
            return (), "the searcher knows no further network: the space may be exhausted"
        priced = zip(found, pricing.values(found), StudyCosts(self.table)(found), strict=True)
        return tuple(Suggestion(*columns) for columns in priced), ""

    def _ask(self, results: Sequence[TrialResult], number: int) -> list[Architecture]:
        """The searcher's next ones, without those that are queued or running."""
        from nas.search.searcher import SearcherSetup

        spec = self.spec
        ended = [result for result in results if result.state.is_final]
        on_their_way = {r.architecture.hash for r in results if not r.state.is_final}
        asked = number + len(on_their_way)
        setup = SearcherSetup(
            self.space, spec.objectives, self.known, spec.constraints, spec.seed, len(ended) + asked
        )
        searcher = self.registry.searchers[SEARCHER].create(setup)
        searcher.tell(ended)
        found = searcher.ask(asked)
        return [architecture for architecture in found if architecture.hash not in on_their_way][:number]
