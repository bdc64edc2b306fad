"""What the proxies of a study are worth: their rank correlation with what training found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.studies.costing import is_cost
from nas.studies.proxies import ProxyPrices

if TYPE_CHECKING:
    from nas.plugins import Registry
    from nas.search.objective import Objective
    from nas.search.study import StudySpec
    from nas.spaces.architecture import Architecture
    from nas.store import Store

CONFIDENCE = 0.9


@dataclass(frozen=True)
class ProxyWorth:
    """How the order of one proxy agrees with what training found, over `count` networks.

    `spearman` (with its 90 % interval from `low` to `high`) and `kendall` are positive where the proxy is
    right, whichever end of it or of the metric is better; None where there are too few networks. `trust` is
    the weight that it would have in a search, `verdict` is ``helps``, ``unclear`` or ``harmful``. `failed`
    counts the networks that it could not score, `error` is the first reason.
    """

    name: str
    count: int
    spearman: float | None
    low: float | None
    high: float | None
    kendall: float | None
    trust: float
    verdict: str
    failed: int = 0
    error: str | None = None


@dataclass(frozen=True)
class ProxyReport:
    """The worth of some proxies for a study, the best first; `count` networks are trained."""

    objective: Objective
    count: int
    proxies: tuple[ProxyWorth, ...]


def proxy_report(
    store: Store,
    spec: StudySpec,
    registry: Registry,
    names: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> ProxyReport:
    """Scores every trained network of a study that has no score yet, stores it, and compares the orders.

    `names` are the proxies, all without any. What training found is the first objective that is no cost, of
    finished trials; repeats of a network count once, by their mean. Raises UsageError where every objective
    is a cost.
    """
    objective = learnt_objective(spec)
    results = _results(store, spec, objective)
    prices = ProxyPrices(spec, names or list(registry.proxies.unique()), registry, store)
    prices.compute(list(results), progress)
    signs = {name: registry.proxies[name].sign for name in prices}
    found = {architecture.hash: -objective.sign * value for architecture, value in results.items()}
    worths = [_worth(name, prices, signs[name], found) for name in prices]
    worths.sort(key=lambda worth: -2.0 if worth.spearman is None else worth.spearman, reverse=True)
    return ProxyReport(objective, len(results), tuple(worths))


def learnt_objective(spec: StudySpec) -> Objective:
    """The first objective that only training tells; UsageError where there is none."""
    for objective in spec.objectives:
        if not is_cost(objective.name):
            return objective
    raise UsageError(
        f"every objective of study {spec.name!r} is a cost, known without training: "
        "there is nothing that a proxy could foretell"
    )


def _results(store: Store, spec: StudySpec, objective: Objective) -> dict[Architecture, float]:
    """What training found for each network: the mean of its finished trials."""
    from nas.search.trial import TrialState

    values: dict[str, list[float]] = {}
    networks: dict[str, Architecture] = {}
    for trial in store.iterate_trials(spec.name, states=[TrialState.FINISHED]):
        if objective.name in trial.metrics:
            key = trial.architecture.hash
            networks.setdefault(key, trial.architecture)
            values.setdefault(key, []).append(trial.metrics[objective.name])
    return {networks[key]: sum(found) / len(found) for key, found in values.items()}


def _worth(name: str, prices: ProxyPrices, sign: float, found: Mapping[str, float]) -> ProxyWorth:
    from nas.search.rank_correlation import FEWEST, interval, kendall, spearman
    from nas.search.trust import judge

    known, problems = prices.known(name), prices.problems[name]
    keys = [key for key in found if key in known]
    pair = [sign * known[key] for key in keys], [found[key] for key in keys]
    failed, error = len(problems), next(iter(problems.values()), None)
    if len(keys) < FEWEST:
        return ProxyWorth(name, len(keys), None, None, None, None, 0.0, "unclear", failed, error)
    rho = spearman(*pair)
    low, high = interval(rho, len(keys), CONFIDENCE)
    return ProxyWorth(
        name,
        len(keys),
        rho,
        low,
        high,
        kendall(*pair),
        judge(*pair).weight,
        verdict(low, high),
        failed,
        error,
    )


def verdict(low: float, high: float) -> str:
    """What an interval of a correlation says in one word."""
    return "helps" if low > 0 else "harmful" if high < 0 else "unclear"
