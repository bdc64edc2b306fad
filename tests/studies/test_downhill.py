"""The way downhill: it finds what random samples miss, keeps to the other limits, and repeats itself."""

from __future__ import annotations

import numpy as np

from nas.search.objective import Constraint
from nas.spaces.space import Space
from nas.studies.downhill import PARENTS, ROUNDS, WIDTH, Values, _children, _fittest, go_downhill
from nas.studies.limits import kept

SPACE = Space.flat({f"d{i}": list(range(8)) for i in range(12)})
FEW = Constraint("params", "<=", 4.0)


def total(vectors: np.ndarray) -> np.ndarray:
    return vectors.sum(axis=1, keepdims=True).astype(np.float64)


def opposed(vectors: np.ndarray) -> np.ndarray:
    """The sum, and what the sum lacks of its largest value: both small is impossible."""
    return np.concatenate([total(vectors), 84.0 - total(vectors)], axis=1)


def way(costs: Values, *constraints: Constraint, seed: int = 0, samples: int = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return go_downhill(SPACE, constraints, SPACE.sample_vectors(samples, rng), costs, rng)


def test_it_goes_far_below_the_smallest_sample() -> None:
    samples = total(SPACE.sample_vectors(1_000, np.random.default_rng(0)))
    assert samples.min() > 15
    assert way(total, FEW).min() < 6


def test_a_lower_limit_is_approached_from_below() -> None:
    assert way(total, Constraint("params", ">=", 84.0)).max() > 78


def test_it_is_short() -> None:
    assert len(way(total, FEW)) <= PARENTS + ROUNDS * WIDTH


def test_one_seed_gives_one_way() -> None:
    assert (way(total, FEW, seed=3) == way(total, FEW, seed=3)).all()


def test_beside_another_limit_it_ends_where_that_one_is_kept() -> None:
    """The sum shall be small but not below 50."""
    constraints = (FEW, Constraint("macs", "<=", 34.0))
    met = way(opposed, *constraints)
    beside = met[kept(constraints, met)[:, 1], 0]
    assert beside.min() == 50


def test_where_the_other_limit_cannot_be_kept_it_is_broken_least() -> None:
    constraints = (FEW, Constraint("macs", "<=", -10.0))
    assert way(opposed, *constraints)[:, 1].min() < 6


def test_it_stops_where_nothing_gets_better() -> None:
    asked = []

    def flat(vectors: np.ndarray) -> np.ndarray:
        asked.append(len(vectors))
        return np.ones((len(vectors), 1))

    way(flat, FEW)
    assert len(asked) < ROUNDS // 2


def test_the_fittest_are_different() -> None:
    vectors = np.array([[1], [0], [0], [2]])
    parents, values = _fittest((FEW,), 0, vectors, vectors.astype(np.float64))
    assert parents.tolist() == [[0], [1], [2]]
    assert values.tolist() == [[0.0], [1.0], [2.0]]


def test_children_are_of_the_space() -> None:
    rng = np.random.default_rng(0)
    children = _children(SPACE, SPACE.sample_vectors(3, rng), rng)
    assert children.shape == (WIDTH, 12)
    assert all(SPACE.is_valid(child) for child in children)
