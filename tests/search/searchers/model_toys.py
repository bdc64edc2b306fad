"""What the tests of the model-based search share: features, candidates and certain predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from search_toys import error_of, flat_space, price

from nas.search.prices import Pricing
from nas.search.searchers.features import FeatureEncoder, Features
from nas.search.searchers.improvement import Exact, Prediction, Uncertain
from nas.search.searchers.judged import Judged, Limit
from nas.search.searchers.pool import Candidates, Pool
from nas.search.searchers.surrogate import Surrogate
from nas.search.trial import TrialResult, TrialState
from nas.spaces.architecture import Architecture
from nas.spaces.space import Space


def random_features(count: int, seed: int = 0, options: int = 4) -> Features:
    """Features of random architectures of five decisions, with one known amount."""
    rng = np.random.default_rng(seed)
    space = flat_space(*[options] * 5)
    vectors = rng.integers(0, options, size=(count, 5))
    amounts = 1.0 + vectors.sum(axis=1, keepdims=True) + rng.random((count, 1))
    return FeatureEncoder(space, np.linspace(1, 21, 50)[:, None])(vectors, amounts)


def random_values(rows: Features, seed: int = 0) -> np.ndarray:
    """Something that the features tell, with a little that they do not."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=rows.choices.shape[1])
    return 3.0 + rows.choices @ weights + 0.5 * rows.amounts[:, 0] ** 2 + 0.05 * rng.normal(size=len(rows))


def learnt(count: int, candidates: int, seed: int = 0) -> Uncertain:
    """What a surrogate of `count` results expects of some candidates."""
    rows = random_features(count, seed)
    surrogate = Surrogate(rows, random_values(rows, seed))
    return Uncertain(surrogate.posterior(random_features(candidates, seed + 1)))


def pool_of(space: Space, limits: Sequence = (), seed: int = 0) -> Pool:
    """A pool of a toy space, its cost known: the sum of its vector, and 1."""

    def cost(architectures: Sequence[Architecture]) -> list[float]:
        return [1.0 + float(space.encode(architecture).sum()) for architecture in architectures]

    return Pool(space, Pricing({"cost": cost}, limits), seed)


def listed(count: int) -> Candidates:
    """So many candidates of one decision."""
    space = flat_space(2_000)
    pool = pool_of(space)
    architectures = [space.decode([number]) for number in range(count)]
    return pool.candidates(architectures, pool.known_of(architectures))


def judged(*columns: Sequence[float] | Prediction, limits: Sequence[Limit] = ()) -> Judged:
    """Candidates of these predictions; a column of numbers is known exactly."""
    predictions = tuple(
        column if isinstance(column, Exact | Uncertain) else Exact(np.array(column, dtype=np.float64))
        for column in columns
    )
    return Judged(listed(len(predictions[0].expected)), predictions, tuple(limits))


def told(
    architecture: Architecture, number: int, state: TrialState = TrialState.FINISHED, fidelity: int = 1
) -> TrialResult:
    """The result of a toy trial."""
    values = {"error": error_of(architecture), "cost": price([architecture])[0]}
    has_values = state in (TrialState.FINISHED, TrialState.STOPPED)
    return TrialResult(architecture, state, values if has_values else {}, fidelity, number)
