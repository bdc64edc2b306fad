"""What a user asks a search for, turned into a checked StudySpec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.costs.confidence import MEDIAN, check_confidence, split_quantile
from nas.costs.cost import COST_NAMES, DEFAULT_MODEL
from nas.errors import UnknownNameError, UsageError
from nas.search.objective import Constraint, Objective
from nas.search.study import StudySpec, check_name
from nas.studies.baseline import check_baseline

if TYPE_CHECKING:
    from nas.costs.target import Target
    from nas.plugins.registry import Registry
    from nas.spaces.space import Space
    from nas.studies.profile import ProfileOptions

PROFILE = ("precision", "batch_size", "runtime", "layout")
"""What completes a device to a target."""


@dataclass(frozen=True)
class SearchOptions:
    """The options of ``nas search``, as written; None leaves the choice to the defaults.

    `study` of None makes a name from space and target. `objectives` of nothing are accuracy, and latency on
    each target. A constraint on a predicted latency is kept with the probability `confidence`: at 0.5 its
    median keeps it.
    """

    space: str = "mobile"
    targets: tuple[str, ...] = ("a100",)
    data: str = "digits"
    objectives: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    searcher: str = "pareto"
    cost_model: str = DEFAULT_MODEL
    trials: int = 24
    epochs: int = 5
    rungs: int = 1
    stop_below: float = 0.0
    repeats: int = 1
    seed: int = 0
    study: str | None = None
    precision: str | None = None
    batch_size: int | None = None
    runtime: str | None = None
    layout: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    warm_start: tuple[str, ...] = ()
    baseline: str = ""
    proxies: tuple[str, ...] = ()
    confidence: float = MEDIAN


def check_options(options: SearchOptions, registry: Registry) -> tuple[StudySpec, Space]:
    """The checked settings and the loaded space; every mistake is an InputError, and nothing is written.

    The study's name may still be empty of meaning: `data_fingerprint` is filled when the data is opened, the
    numbers of `warm_start` when the store is.
    """
    from nas.spaces import load_space

    space = load_space(options.space, registry)
    overrides = target_overrides(options)
    targets = resolve_targets(options.targets, overrides, registry)
    registry.searchers[options.searcher]
    check_baseline(options.baseline, options.searcher, registry)
    registry.cost_models[options.cost_model]
    for proxy in options.proxies:
        registry.proxies[proxy]
    metrics = registry.tasks[options.data.partition(":")[0]].metrics
    proxies = tuple(name for name in registry.proxies if name not in (*metrics, *COST_NAMES))
    objectives = _objectives(options.objectives, targets, proxies)
    constraints = read_constraints(options.constraints, options.confidence)
    check_cost_names((o.name for o in objectives), targets, (*metrics, *proxies), "objective")
    check_cost_names((c.name for c in constraints), targets, metrics, "constraint")
    spec = StudySpec(
        name=_study_name(options, space.name),
        space=options.space,
        space_text=space.text,
        targets=options.targets,
        target_names=tuple(target.name for target in targets),
        target_labels=tuple(target.label for target in targets),
        objectives=objectives,
        constraints=constraints,
        target_overrides=tuple(sorted(overrides.items())),
        cost_model=options.cost_model,
        data=options.data,
        recipe=tuple(sorted(options.recipe.items())),
        searcher=options.searcher,
        trials=options.trials,
        epochs=options.epochs,
        rungs=options.rungs,
        stop_below=options.stop_below,
        repeats=options.repeats,
        seed=options.seed,
        warm_start=tuple((name, "") for name in dict.fromkeys(options.warm_start)),
        baseline=options.baseline,
        proxies=tuple(dict.fromkeys(options.proxies)),
    )
    return spec, space


def resolve_targets(
    references: Iterable[str], overrides: Mapping[str, Any], registry: Registry
) -> tuple[Target, ...]:
    """Every target with the overrides of the study; two of one name are refused."""
    from nas.costs import resolve_target

    targets = tuple(resolve_target(reference, registry, **overrides) for reference in references)
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--target {name} is given twice")
    return targets


def read_constraints(texts: Iterable[str], confidence: float) -> tuple[Constraint, ...]:
    """The constraints, those on a latency kept with this probability unless they name one themselves."""
    sure = check_confidence(confidence)
    return tuple(Constraint.parse(text).at(sure) for text in texts)


def cost_names(targets: Iterable[Target]) -> tuple[str, ...]:
    """Every name under which a cost may be asked for: ``latency``, ``latency@a100``, ``params``, ..."""
    qualified = (f"{cost}@{target.name}" for target in targets for cost in COST_NAMES)
    return (*COST_NAMES, *qualified)


def check_cost_names(
    names: Iterable[str], targets: tuple[Target, ...], metrics: tuple[str, ...], kind: str
) -> None:
    """Raises UnknownNameError for a name that is neither a cost of these targets nor a metric of the task."""
    known = {*cost_names(targets), *metrics}
    seen: set[str] = set()
    for name in names:
        if split_quantile(name)[0] not in known:
            raise UnknownNameError(kind, name, known)
        if kind == "objective" and name in seen:
            raise UsageError(f"objective {name!r} is given twice")
        seen.add(name)


def _objectives(
    texts: tuple[str, ...], targets: tuple[Target, ...], proxies: tuple[str, ...]
) -> tuple[Objective, ...]:
    if texts:
        return tuple(_objective(text, proxies) for text in texts)
    if len(targets) == 1:
        return (Objective.parse("accuracy"), Objective.parse("latency"))
    return (Objective.parse("accuracy"), *(Objective.parse(f"latency@{target.name}") for target in targets))


def _objective(text: str, proxies: tuple[str, ...]) -> Objective:
    """An objective as it is written; of a proxy more is better."""
    objective = Objective(text, "max") if text in proxies else Objective.parse(text)
    if objective.name in proxies and objective.direction == "min":
        raise UsageError(f"objective {text!r}: a proxy is always maximised; write {objective.name!r}")
    return objective


def target_overrides(options: SearchOptions | ProfileOptions) -> dict[str, Any]:
    """What is given for all targets in place of their default profiles."""
    given = {key: getattr(options, key) for key in PROFILE}
    return {key: value for key, value in given.items() if value is not None}


def _study_name(options: SearchOptions, space_name: str) -> str:
    if options.study is not None:
        return check_name(options.study)
    target = Path(options.targets[0]).stem if options.targets else "any"
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in f"{space_name}-{target}".lower())
    return plain.strip("-._")[:56] or "study"
