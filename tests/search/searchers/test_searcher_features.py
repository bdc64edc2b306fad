"""What a surrogate sees of an architecture."""

from __future__ import annotations

import numpy as np
import pytest
from search_toys import BranchSpace, flat_space

from nas.search.searchers.features import FeatureEncoder, Features
from nas.spaces.space import Space
from nas.testing.problems import tree_space

NOTHING = np.zeros((0, 0))


def encode(space: Space, vectors: list[list[int]], amounts: np.ndarray | None = None) -> Features:
    array = np.array(vectors, dtype=np.int64)
    known = np.zeros((len(vectors), 0)) if amounts is None else amounts
    return FeatureEncoder(space, known)(array, known)


def distance(features: Features, one: int, other: int) -> float:
    return float(((features.choices[one] - features.choices[other]) ** 2).sum())


# -- choices ---------------------------------------------------------------------------------------------


def test_words_are_all_equally_far_apart() -> None:
    features = encode(Space.flat({"a": ["x", "y", "z"]}), [[0], [1], [2]])
    distances = {round(distance(features, *pair), 12) for pair in ((0, 1), (0, 2), (1, 2))}
    assert len(distances) == 1


def test_numbers_are_nearer_to_their_neighbours() -> None:
    features = encode(Space.flat({"a": [3, 5, 7, 9]}), [[0], [1], [2], [3]])
    steps = [distance(features, 0, other) for other in range(4)]
    assert steps == sorted(steps)
    assert len(set(steps)) == 4
    assert distance(features, 0, 1) == pytest.approx(distance(features, 2, 3))


def test_numbers_are_ordered_by_what_they_are_not_by_where_they_stand() -> None:
    shuffled = encode(Space.flat({"a": [9, 3, 7, 5]}), [[0], [1], [2], [3]])
    assert distance(shuffled, 1, 3) < distance(shuffled, 1, 2) < distance(shuffled, 1, 0)


@pytest.mark.parametrize(
    "options", [[True, False], [3, 5], ["3", "5", "7"], [3, 5, None], [1, 2, True]], ids=str
)
def test_what_has_no_scale_is_not_ordered(options: list[object]) -> None:
    features = encode(Space.flat({"a": options}), [[0]]) if _is_allowed(options) else None
    assert features is None or features.choices.shape[1] == len(options)


def _is_allowed(options: list[object]) -> bool:
    """A space refuses 1 beside True as one option given twice, or takes it as a word."""
    try:
        Space.flat({"a": options})
    except Exception:
        return False
    return True


def test_every_decision_weighs_alike_whatever_its_size() -> None:
    features = encode(Space.flat({"a": ["x", "y"], "b": list("pqrstuvw")}), [[0, 0], [1, 0], [0, 5]])
    assert distance(features, 0, 1) == pytest.approx(distance(features, 0, 2))


def test_the_distances_of_large_spaces_are_those_of_small_ones() -> None:
    def mean_distance(decisions: int) -> float:
        space = Space.flat({f"d{n}": list("xyz") for n in range(decisions)})
        vectors = np.random.default_rng(0).integers(0, 3, size=(60, decisions)).tolist()
        choices = encode(space, vectors).choices
        return float(((choices[:, None] - choices) ** 2).sum(axis=2).mean())

    assert mean_distance(4) == pytest.approx(mean_distance(40), rel=0.15)


def test_a_decision_of_one_option_changes_nothing() -> None:
    plain = encode(Space.flat({"a": ["x", "y"]}), [[0], [1]])
    more = encode(Space.flat({"a": ["x", "y"], "fixed": ["only"]}), [[0, 0], [1, 0]])
    assert distance(plain, 0, 1) == pytest.approx(distance(more, 0, 1))


# -- decisions that do not always matter -----------------------------------------------------------------


def test_what_does_not_matter_is_seen_as_nothing() -> None:
    space = BranchSpace(4)
    features = encode(space, [[0, 1, 0], [1, 1, 0], [1, 1, 2]])  # type: ignore[arg-type]
    second = slice(2 + 4, 2 + 4 + 4)
    assert not features.choices[0, second].any()
    assert features.choices[1, second].any()
    ordinal_of_second = features.choices[:, -1]
    assert ordinal_of_second[0] == 0
    assert ordinal_of_second[1] < 0


def test_an_inactive_decision_is_no_first_option() -> None:
    """Its place in the vector holds 0, as if it took its first option."""
    space = BranchSpace(4)
    features = encode(space, [[0, 1, 0], [1, 1, 0]])  # type: ignore[arg-type]
    depth_alone = 2 * features.choices[0, 0] ** 2
    assert distance(features, 0, 1) > depth_alone


def test_networks_are_told_apart() -> None:
    space = tree_space()
    vectors = list(space.enumerate())[:300]
    features = encode(space, [vector.tolist() for vector in vectors])
    assert len(np.unique(features.choices.round(9), axis=0)) == len(vectors)


# -- shares ----------------------------------------------------------------------------------------------


def test_decisions_of_equal_options_form_a_group() -> None:
    features = encode(flat_space(3, 3, 3), [[0, 0, 1], [1, 0, 0], [2, 2, 2]])
    assert features.shares.shape == (3, 3)
    assert features.shares[0].tolist() == features.shares[1].tolist()
    assert features.shares[2, 2] == features.shares.max()
    assert features.shares[0, 0] == pytest.approx(2 * features.shares[0, 1])


def test_there_are_no_groups_of_one() -> None:
    assert encode(flat_space(2, 3, 4), [[0, 0, 0]]).shares.shape == (1, 0)


def test_dotted_names_are_grouped_by_their_last_word() -> None:
    options = [3, 5]
    names = ["stages.0.kernel", "stages.1.kernel", "stages.0.width", "stages.1.width"]
    features = encode(Space.flat(dict.fromkeys(names, options)), [[0, 0, 1, 1], [0, 1, 0, 1]])
    assert features.shares.shape == (2, 4)
    kernel, width = features.shares[0, :2], features.shares[0, 2:]
    assert kernel[1] == width[0] == 0
    assert features.shares[1, 0] == features.shares[1, 1]


def test_the_depth_of_a_network_shows_in_its_shares() -> None:
    space = tree_space()
    vectors = [vector.tolist() for vector in space.enumerate()]
    depth = next(i for i, d in enumerate(space.decisions) if d.name.endswith("depth"))
    shares = encode(space, vectors).shares
    assert shares.shape[1] > 0
    active = [len(space.active(vector)) for vector in vectors]
    shallow = [row for row, vector in enumerate(vectors) if vector[depth] == 0]
    deep = [row for row, vector in enumerate(vectors) if vector[depth] == 1]
    assert np.mean([active[row] for row in shallow]) < np.mean([active[row] for row in deep])
    assert shares[shallow].sum(axis=1).mean() < shares[deep].sum(axis=1).mean()


# -- amounts ---------------------------------------------------------------------------------------------


def amounts_of(reference: list[float], values: list[float]) -> np.ndarray:
    encoder = FeatureEncoder(flat_space(3), np.array(reference)[:, None])
    known = np.array(values)[:, None]
    return encoder(np.zeros((len(values), 1), dtype=np.int64), known).amounts[:, 0]


def test_costs_are_seen_on_a_logarithmic_scale() -> None:
    amounts = amounts_of([1.0, 10.0, 100.0], [1.0, 10.0, 100.0, 1000.0])
    assert np.diff(amounts) == pytest.approx([np.diff(amounts)[0]] * 3)
    assert amounts[1] == pytest.approx(0.0)
    assert amounts[:3].std() == pytest.approx(0.5)


def test_amounts_that_may_be_zero_are_seen_as_they_are() -> None:
    amounts = amounts_of([0.0, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0])
    assert np.diff(amounts) == pytest.approx([np.diff(amounts)[0]] * 3)


def test_the_unit_of_a_cost_does_not_matter() -> None:
    small = amounts_of([1.0, 4.0, 9.0], [2.0, 3.0])
    assert small == pytest.approx(amounts_of([1e9, 4e9, 9e9], [2e9, 3e9]))
    assert amounts_of([0.0, 4.0, 9.0], [2.0, 3.0]) == pytest.approx(amounts_of([0.0, 4e9, 9e9], [2e9, 3e9]))


@pytest.mark.parametrize("value", [0.1, 7.3, 1e9, -0.1, 0.0])
def test_a_cost_that_is_always_the_same_says_nothing(value: float) -> None:
    amounts = amounts_of([value] * 1001, [value, value])
    assert np.abs(amounts).max() < 1e-6
    other = amounts_of([value] * 1001, [2 * value + 1])
    assert np.abs(other).max() < 1e10


def test_a_free_result_in_a_space_of_costs_is_finite() -> None:
    assert np.isfinite(amounts_of([1.0, 2.0], [0.0, -1.0])).all()


def test_nothing_is_known_and_nothing_was_priced() -> None:
    features = encode(flat_space(3), [[0], [1]])
    assert features.amounts.tolist() == [[0.0], [0.0]]
    encoder = FeatureEncoder(flat_space(3), np.zeros((0, 1)))
    amounts = encoder(np.array([[0]]), np.array([[5.0]])).amounts
    assert np.isfinite(amounts).all()


def test_the_last_amount_is_the_fidelity() -> None:
    encoder = FeatureEncoder(flat_space(3), np.array([[1.0], [2.0]]))
    features = encoder(np.array([[0], [1], [2]]), np.array([[1.0], [2.0], [1.0]]))
    assert features.amounts[:, -1].tolist() == [0.0, 0.0, 0.0]
    lower = encoder.at_fidelity(features, np.array([1.0, 1 / 3, 1 / 9]))
    full, third, ninth = lower.amounts[:, -1].tolist()
    assert full == 0.0
    assert ninth < third < full
    assert ninth == pytest.approx(2 * third)
    assert lower.choices is features.choices
    assert features.amounts[:, -1].tolist() == [0.0, 0.0, 0.0]
    assert lower.amounts[:, 0].tolist() == features.amounts[:, 0].tolist()


# -- rows ------------------------------------------------------------------------------------------------


def test_rows_are_taken_and_joined() -> None:
    space = flat_space(3, 3)
    features = encode(space, [[0, 0], [1, 2], [2, 1]], np.array([[1.0], [2.0], [3.0]]))
    parts = [features.take([1]), features.take(np.array([2, 0]))]
    joined = Features.join(parts)
    assert len(features) == len(joined) == 3
    for part, whole in zip(joined.parts, features.parts, strict=True):
        assert part.tolist() == whole[[1, 2, 0]].tolist()
    assert len(features.take([])) == 0
    assert len(Features.join([features.take([]), features])) == 3


def test_a_row_does_not_depend_on_the_others() -> None:
    space = flat_space(3, 3)
    encoder = FeatureEncoder(space, np.array([[1.0], [5.0]]))
    vectors, amounts = np.array([[0, 1], [2, 2], [1, 0]]), np.array([[1.0], [2.0], [3.0]])
    together = encoder(vectors, amounts)
    for row in range(3):
        alone = encoder(vectors[[row]], amounts[[row]])
        for one, all_rows in zip(alone.parts, together.parts, strict=True):
            assert one[0].tolist() == all_rows[row].tolist()


def test_no_rows_at_all() -> None:
    encoder = FeatureEncoder(tree_space(), np.array([[1.0], [5.0]]))
    empty = encoder(np.zeros((0, len(tree_space().decisions)), dtype=np.int64), np.zeros((0, 1)))
    assert len(empty) == 0
    assert empty.amounts.shape == (0, 2)
