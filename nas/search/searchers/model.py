"""Everything that was learnt from the trials so far, ready to judge candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nas.search.objective import Constraint, Objective
from nas.search.searchers.evaluated import Evaluated
from nas.search.searchers.features import Features
from nas.search.searchers.improvement import Exact, Improvement, Prediction, Uncertain
from nas.search.searchers.judged import Judged, Limit
from nas.search.searchers.plan import Plan
from nas.search.searchers.pool import Candidates, Pool
from nas.search.searchers.proxies import TrustedProxies
from nas.search.searchers.surrogate import Surrogate
from nas.spaces.architecture import Architecture

Matrix = NDArray[np.float64]
LEAST_LESSONS = 3
"""So many results of every unknown metric are needed before anything is predicted."""

MOST_LESSONS = 1_000
"""Of more results the best and an even selection of the others are learnt from."""

BREEDERS = 16


@dataclass(frozen=True)
class Model:
    """Surrogates of the unknown metrics, and the front they are to improve.

    `parents` are the best results, those of the front first. The reference point of the hypervolume is the
    worst value seen of each objective; of a known one, the largest in the pool as well.
    """

    objectives: tuple[Objective, ...]
    limits: tuple[Constraint, ...]
    names: tuple[str, ...]
    surrogates: Mapping[str, Surrogate]
    front: Matrix
    reference: Matrix
    parents: Sequence[Architecture]
    proxies: TrustedProxies | None = None

    @classmethod
    def learn(
        cls,
        evaluated: Evaluated,
        pool: Pool,
        objectives: Sequence[Objective],
        limits: Sequence[Constraint],
        proxies: TrustedProxies | None = None,
    ) -> Model | None:
        """The model of the results so far; None where they are too few, or nothing keeps the constraints."""
        surrogates = _surrogates(evaluated, pool, objectives, limits, proxies)
        architectures, values, ranks = evaluated.ranked
        front = values[ranks == 0]
        parents = architectures[: max(BREEDERS, len(front))] or list(pool.base.architectures[:BREEDERS])
        if surrogates is None or not parents:
            return None
        reference = _reference(objectives, values, surrogates, pool)
        wanted = tuple(objectives), tuple(limits)
        return cls(*wanted, pool.names, surrogates, front, reference, parents, proxies)

    def judge(self, candidates: Candidates) -> Judged:
        """What is expected of candidates."""
        features = candidates.features
        if self.proxies is not None:
            features = self.proxies.extend(features, candidates.architectures)
        candidates = replace(candidates, features=features)
        return Judged(
            candidates,
            tuple(self._prediction(objective, candidates) for objective in self.objectives),
            tuple(self._limit(constraint, candidates.features) for constraint in self.limits),
        )

    def plan(self, judged: Judged, pending: int) -> Plan:
        """What to evaluate next, the first `pending` candidates being on their way."""
        uncertain = [i for i, objective in enumerate(self.objectives) if objective.name in self.surrogates]
        ideal = self._ideal(judged.predictions)
        axis = uncertain[0] if uncertain else 0
        return Plan(judged, Improvement(self.front, ideal, self.reference, axis), self.front, pending)

    def _prediction(self, objective: Objective, candidates: Candidates) -> Prediction:
        if objective.name in self.surrogates:
            return Uncertain(self.surrogates[objective.name].posterior(candidates.features))
        return Exact(objective.sign * candidates.known[:, self.names.index(objective.name)])

    def _limit(self, constraint: Constraint, features: Features) -> Limit:
        posterior = self.surrogates[str(constraint)].posterior(features)
        return Limit(Uncertain(posterior), _limit_sign(constraint) * constraint.limit)

    def _ideal(self, predictions: Sequence[Prediction]) -> Matrix:
        """The best value of each objective that may be met."""
        lows = np.array([p.optimistic.min(initial=np.inf) for p in predictions])
        best = self.front.min(axis=0) if len(self.front) else lows
        return np.asarray(np.minimum(np.minimum(lows, best), self.reference))


def _surrogates(
    evaluated: Evaluated,
    pool: Pool,
    objectives: Sequence[Objective],
    limits: Sequence[Constraint],
    proxies: TrustedProxies | None,
) -> dict[str, Surrogate] | None:
    """One for each unknown objective by its name, and for each limited metric by its constraint."""
    wanted = {o.name: (o.name, o.sign) for o in objectives if o.name not in pool.names}
    wanted.update({str(c): (c.name, _limit_sign(c)) for c in limits})
    found = {}
    for key, (name, sign) in wanted.items():
        lessons = evaluated.lessons(name, sign)
        known = pool.known_of(lessons.architectures)
        priced = np.flatnonzero(np.isfinite(known).all(axis=1))
        if len(priced) < LEAST_LESSONS:
            return None
        rows = priced[_selected(lessons.values[priced])]
        chosen = [lessons.architectures[row] for row in rows.tolist()]
        features = pool.encoder.at_fidelity(
            pool.features(chosen, known[rows]), lessons.fidelities[rows] / evaluated.full_fidelity
        )
        if proxies is not None:
            features = proxies.extend(features, chosen)
        found[key] = Surrogate(features, lessons.values[rows])
    return found


def _selected(values: Matrix) -> NDArray[np.int64]:
    """The rows to learn from: all of them, or the best half of what is learnt and others evenly."""
    if len(values) <= MOST_LESSONS:
        return np.arange(len(values))
    order = np.argsort(values, kind="stable")
    best, others = order[: MOST_LESSONS // 2], np.sort(order[MOST_LESSONS // 2 :])
    even = np.linspace(0, len(others) - 1, MOST_LESSONS - len(best)).astype(np.int64)
    return np.sort(np.concatenate([best, others[even]]))


def _limit_sign(constraint: Constraint) -> float:
    return 1.0 if constraint.operator == "<=" else -1.0


def _reference(
    objectives: Sequence[Objective], values: Matrix, surrogates: Mapping[str, Surrogate], pool: Pool
) -> Matrix:
    """The worst value of each objective; a hundredth of its size worse where all are equal."""
    worst = []
    for index, objective in enumerate(objectives):
        seen = values[:, index].tolist()
        if objective.name in pool.names:
            seen += (objective.sign * pool.base.known[:, pool.names.index(objective.name)]).tolist()
        else:
            seen += surrogates[objective.name].range
        margin = 0.0 if max(seen) > min(seen) else max(abs(max(seen)), 1.0) / 100
        worst.append(max(seen) + margin)
    return np.array(worst)
