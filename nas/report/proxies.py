"""What became of the zero-cost proxies that a search was given: followed, or dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.errors import UnknownNameError
from nas.report.text import clean
from nas.search.trial import TrialState
from nas.search.trust import FEWEST, Trust, judge

if TYPE_CHECKING:
    from nas.plugins import Registry
    from nas.search.objective import Objective
    from nas.search.study import StudySpec
    from nas.store import Store, TrialRecord


@dataclass(frozen=True)
class ProxyLine:
    """One proxy of a search, with the sentence that says how far it was followed."""

    name: str
    verdict: str
    is_dropped: bool


def proxy_lines(store: Store, spec: StudySpec, registry: Registry) -> tuple[ProxyLine, ...]:
    """A line for each proxy of a study, from the scores its store holds; none where it was given none."""
    goal = next((o for o in spec.objectives if not _is_known(o, spec, registry)), None)
    if not spec.proxies or goal is None:
        return ()
    finished = store.trials(spec.name, states=[TrialState.FINISHED])
    return tuple(_line(name, store, spec, registry, finished, goal) for name in spec.proxies)


def _is_known(objective: Objective, spec: StudySpec, registry: Registry) -> bool:
    task = spec.data.partition(":")[0]
    return task in registry.tasks and objective.name not in registry.tasks[task].metrics


def _line(
    name: str,
    store: Store,
    spec: StudySpec,
    registry: Registry,
    finished: Sequence[TrialRecord],
    goal: Objective,
) -> ProxyLine:
    try:
        proxy, plugin = registry.proxies[name], registry.proxies.provider(name)
    except UnknownNameError:
        return ProxyLine(clean(name, 60), "is no longer provided by any plugin", False)
    row = proxy.name, f"{plugin.distribution} {plugin.version}", f"{spec.data_fingerprint}/{spec.minimum_map}"
    scores = store.proxy_values(*row, [trial.architecture.hash for trial in finished])
    pairs = [
        (proxy.sign * scores[trial.architecture.hash], -goal.sign * trial.metrics[goal.name])
        for trial in finished
        if trial.architecture.hash in scores and goal.name in trial.metrics
    ]
    trust = judge([said for said, _ in pairs], [found for _, found in pairs])
    return ProxyLine(clean(name, 60), _verdict(trust, goal.name), trust.is_harmful)


def _verdict(trust: Trust, metric: str) -> str:
    if trust.count < FEWEST:
        return f"was not followed: {trust.count} scored trials, and {FEWEST} are needed to judge it"
    said = f"rank correlation {trust.correlation:+.2f} with {metric} over {trust.count} trials"
    if trust.is_harmful:
        return f"was dropped as harmful: {said}"
    if trust.weight == 0:
        return f"was not followed: {said} may be chance"
    return f"was followed with weight {trust.weight:.2f}: {said}"
