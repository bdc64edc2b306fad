"""Which candidates a search looks at, and where it starts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from model_toys import pool_of
from search_toys import BranchSpace, flat_space, price

from nas.search.objective import Constraint
from nas.search.prices import Pricing
from nas.search.searchers.pool import FLAT, LISTABLE, NETWORKS, Candidates, Pool
from nas.search.searchers.start import spread_start
from nas.search.seeding import generator
from nas.spaces.architecture import Architecture
from nas.testing.problems import tree_space

LARGE = flat_space(*[8] * 8)
LIMIT = (Constraint("cost", "<=", 16.0),)


def hashes(candidates: Candidates) -> list[str]:
    return [architecture.hash for architecture in candidates.architectures]


def anything(architecture_hash: str) -> bool:
    return True


# -- the base --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [flat_space(4, 4, 4), flat_space(1), tree_space(), BranchSpace(4)], ids=str)
def test_small_spaces_are_listed(space) -> None:  # type: ignore[no-untyped-def]
    pool = pool_of(space)
    every = {space.decode(vector).hash for vector in space.enumerate()}
    assert pool.is_listed
    assert sorted(hashes(pool.base)) == sorted(every)


def test_two_spellings_of_one_network_are_one_candidate() -> None:
    space = BranchSpace(4, twins=True)
    found = hashes(pool_of(space).base)  # type: ignore[arg-type]
    assert len(found) == len(set(found)) < space.size()


def test_large_spaces_are_drawn_from() -> None:
    pool = pool_of(LARGE)
    assert LARGE.size() > LISTABLE
    assert not pool.is_listed
    assert FLAT.base * 0.9 < len(pool.base) <= FLAT.base + 64
    assert len(set(hashes(pool.base))) == len(pool.base)


def test_the_cheap_end_of_a_large_space_is_reached() -> None:
    """Samples of eight options in eight places cost about 29; the descent ends near 1."""
    known = pool_of(LARGE).base.known[:, 0]
    rng = np.random.default_rng(0)
    sampled = min(price([LARGE.sample(rng) for _ in range(2_000)]))
    assert known.min() < sampled
    assert known.min() <= 5


def test_networks_are_fewer() -> None:
    assert pool_of(tree_space()).sizes == NETWORKS
    assert pool_of(LARGE).sizes == FLAT


def test_features_and_known_values_belong_to_their_architectures() -> None:
    for space in (flat_space(3, 3, 3), LARGE):
        pool = pool_of(space)
        base = pool.base
        assert base.known[:, 0].tolist() == price(base.architectures)
        assert len(base) == len(base.features) == len(base.known)
        again = pool.candidates(base.architectures[:5], pool.known_of(base.architectures[:5]))
        for one, other in zip(again.features.parts, base.features.parts, strict=True):
            assert one.tolist() == other[:5].tolist()


def test_nothing_known() -> None:
    for space in (flat_space(3, 3), LARGE):
        pool = Pool(space, Pricing({}), 0)
        assert pool.names == ()
        assert pool.base.known.shape == (len(pool.base), 0)
        assert pool.known_of(pool.base.architectures[:2]).shape == (2, 0)


@pytest.mark.parametrize("space", [flat_space(6, 6, 6), LARGE, tree_space()], ids=str)
def test_known_constraints_are_kept_everywhere(space) -> None:  # type: ignore[no-untyped-def]
    limit = (Constraint("cost", "<=", 12.0),)

    def cost(architectures: Sequence[Architecture]) -> list[float]:
        return [1.0 + float(space.encode(architecture).sum()) for architecture in architectures]

    pool = Pool(space, Pricing({"cost": cost}, limit), 0)
    parents = [space.sample(generator(0, n)) for n in range(4)]
    rng = generator(0, "test")
    for candidates in (
        pool.base,
        pool.fresh(parents, rng, anything),
        pool.around(parents, rng, anything),
    ):
        assert (candidates.known[:, 0] <= 12.0).all()
        assert candidates.known[:, 0].tolist() == cost(candidates.architectures)


def test_a_limit_that_nothing_keeps_leaves_nothing() -> None:
    for space in (flat_space(3, 3), LARGE):
        pool = pool_of(space, (Constraint("cost", "<=", 0.0),))
        assert len(pool.base) == 0
        # What was evaluated elsewhere is described all the same.
        architectures = [space.sample(generator(0, n)) for n in range(3)]
        features = pool.features(architectures, pool.known_of(architectures))
        assert len(features) == 3
        assert all(np.isfinite(part).all() for part in features.parts)


@pytest.mark.parametrize("bad", [math.inf, math.nan, -math.inf])
def test_what_has_no_price_is_no_candidate(bad: float) -> None:
    def broken(architectures: Sequence[Architecture]) -> list[float]:
        return [
            bad if a.values()["a"] == 0 else cost
            for a, cost in zip(architectures, price(architectures), strict=True)
        ]

    for space in (flat_space(3, 3, 3), LARGE):
        base = Pool(space, Pricing({"cost": broken}), 0).base
        assert len(base) > 0
        assert all(a.values()["a"] != 0 for a in base.architectures)
        assert np.isfinite(base.known).all()
        assert all(np.isfinite(part).all() for part in base.features.parts)


def test_the_seed_alone_decides() -> None:
    for space in (flat_space(5, 5, 5), LARGE):
        assert hashes(pool_of(space, seed=1).base) == hashes(pool_of(space, seed=1).base)
        assert hashes(pool_of(space, seed=1).base) != hashes(pool_of(space, seed=2).base)


# -- around the best -------------------------------------------------------------------------------------


def test_fresh_candidates_are_near_the_parents_mostly() -> None:
    pool = pool_of(LARGE)
    parent = LARGE.decode([3] * 8)
    fresh = pool.fresh([parent], generator(0, "fresh"), anything)
    steps = np.array([(LARGE.encode(a) != 3).sum() for a in fresh.architectures])
    assert (steps == 1).sum() > 40  # of the 56 neighbours
    assert (steps > 3).sum() > 20
    assert len(set(hashes(fresh))) == len(fresh)


def test_children_mix_their_parents() -> None:
    pool = pool_of(LARGE)
    parents = [LARGE.decode([0] * 8), LARGE.decode([7] * 8)]
    fresh = pool.fresh(parents, generator(0, "fresh"), anything)
    vectors = np.array([LARGE.encode(a) for a in fresh.architectures])
    mixed = np.isin(vectors, (0, 7)).all(axis=1) & (vectors.min(axis=1) != vectors.max(axis=1))
    assert mixed.sum() > 10


def test_candidates_around_are_one_step_away() -> None:
    pool = pool_of(LARGE)
    parents = [LARGE.decode([n] * 8) for n in range(4)]
    around = pool.around(parents, generator(0, "around"), anything)
    for architecture in around.architectures:
        vector = LARGE.encode(architecture)
        assert min((vector != n).sum() for n in range(4)) == 1
    assert 0.5 * FLAT.round < len(around) <= FLAT.round
    assert len(pool.around([], generator(0, "around"), anything)) == 0


def test_only_new_ones_are_looked_at() -> None:
    pool = pool_of(LARGE)
    parents = [LARGE.decode([2] * 8)]

    def is_even(architecture_hash: str) -> bool:
        return int(architecture_hash[0], 16) % 2 == 0

    for draw in (pool.fresh, pool.around):
        some, every = draw(parents, generator(0), is_even), draw(parents, generator(0), anything)
        assert 0 < len(some) < len(every)
        assert hashes(some) == [name for name in hashes(every) if is_even(name)]


def test_rows_are_taken_and_joined() -> None:
    base = pool_of(flat_space(3, 3)).base
    part = base.take(np.array([4, 2]))
    assert hashes(part) == [hashes(base)[4], hashes(base)[2]]
    assert part.known.tolist() == base.known[[4, 2]].tolist()
    both = Candidates.concatenate([part, base.take(np.array([], dtype=np.int64)), base])
    assert hashes(both) == hashes(part) + hashes(base)
    assert len(both.features) == len(both.known) == 11


# -- the start -------------------------------------------------------------------------------------------


def start(candidates: Candidates, count: int, axis: int | None = 0, seed: int = 0) -> list[int]:
    return list(itertools.islice(spread_start(candidates, axis, generator(seed, "start")), count))


@pytest.mark.parametrize("space", [flat_space(6, 6, 6), LARGE], ids=str)
def test_the_cheapest_comes_first_and_a_dear_one_second(space) -> None:  # type: ignore[no-untyped-def]
    base = pool_of(space).base
    rows = start(base, 7)
    costs = base.known[rows, 0]
    assert costs[0] <= np.sort(base.known[:, 0])[3]
    assert costs[1] >= np.sort(base.known[:, 0])[-8]
    middle = np.sqrt(base.known.min() * base.known.max())
    assert abs(np.log(costs[2] / middle)) < 0.3 * np.log(base.known.max() / base.known.min())
    assert len(set(rows)) == 7


def test_of_equal_costs_those_are_taken_that_differ() -> None:
    """Costs do not depend on the choices of all decisions but the first: the rest is spread."""

    def cost(architectures: Sequence[Architecture]) -> list[float]:
        return [1.0 + a.values()["a"] for a in architectures]

    base = Pool(flat_space(3, 5, 5, 5, 5), Pricing({"cost": cost}), 0).base

    def spread(rows: list[int]) -> float:
        choices = base.features.choices[rows]
        distances = ((choices[:, None] - choices) ** 2).sum(axis=2)
        return float(distances[np.triu_indices(len(rows), 1)].mean())

    rng = np.random.default_rng(0)
    chance = np.mean([spread(rng.choice(len(base), size=8).tolist()) for _ in range(30)])
    assert np.mean([spread(start(base, 8, seed=seed)) for seed in range(5)]) > chance


def test_without_known_costs_the_choices_are_spread() -> None:
    base = Pool(flat_space(2, 2), Pricing({}), 0).base
    rows = start(base, 4, None)
    assert sorted(rows) == [0, 1, 2, 3]
    first, second = (base.architectures[row].values() for row in rows[:2])
    assert first["a"] != second["a"]
    assert first["b"] != second["b"]


@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_a_start_is_all_of_a_small_space_once(size: int) -> None:
    base = pool_of(flat_space(size)).base
    assert sorted(start(base, 99)) == list(range(size))


def test_equal_costs_are_no_trouble() -> None:
    base = Pool(flat_space(4, 4), Pricing({"cost": lambda found: [2.0] * len(found)}), 0).base
    assert len(set(start(base, 16))) == 16


def test_the_seed_decides_where_it_starts() -> None:
    base = Pool(flat_space(4, 4, 4), Pricing({}), 0).base
    assert start(base, 6, None, seed=1) == start(base, 6, None, seed=1)
    assert start(base, 6, None, seed=1) != start(base, 6, None, seed=2)
