"""Which studies form a group, what they are called, and which cannot be compared."""

from __future__ import annotations

from typing import Any

import pytest
from compared_studies import ERROR, LATENCY, spec_of

from nas.errors import UnknownNameError, UsageError
from nas.search.comparable import baseline_pairs, check_comparable, common_objectives, group_studies
from nas.search.objective import Constraint, Objective
from nas.search.study import StudySpec

BOTH = (ERROR, LATENCY)


def labels(*specs: StudySpec) -> dict[str, list[str]]:
    return {label: [spec.name for spec in members] for label, members in group_studies(specs)}


def test_seeds_trials_and_baselines_make_no_groups() -> None:
    specs = [
        spec_of("a", seed=0, searcher="random"),
        spec_of("b", seed=1, searcher="random", trials=9),
        spec_of("c", seed=0, baseline="random"),
        spec_of("d", seed=1),
    ]
    assert labels(*specs) == {"random": ["a", "b"], "evolution": ["c", "d"]}


def test_members_need_not_stand_together() -> None:
    specs = [spec_of("a", searcher="x"), spec_of("b", searcher="y"), spec_of("c", searcher="x", seed=2)]
    assert labels(*specs) == {"x": ["a", "c"], "y": ["b"]}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {"epochs": 9}, ["epochs 5", "epochs 9"]),
        ({"space": "tiny"}, {"space": "big", "space_text": "x"}, ["space tiny", "space big"]),
        ({"searcher": "random", "epochs": 2}, {}, ["random, epochs 2", "evolution, epochs 5"]),
        ({}, {"recipe": (("learning_rate", 0.1),)}, ["recipe none", "recipe learning_rate=0.1"]),
        (
            {},
            {"constraints": (Constraint("params", "<=", 5e6),)},
            ["constraints none", "constraints params<=5e+06"],
        ),
        (
            {},
            {"targets": ("t4",), "target_names": ("t4",), "target_labels": ("t4/eager",)},
            ["targets a100", "targets t4"],
        ),
    ],
)
def test_groups_are_named_by_what_differs(
    one: dict[str, Any], other: dict[str, Any], expected: list[str]
) -> None:
    assert list(labels(spec_of("a", **one), spec_of("b", **other))) == expected


def test_a_changed_space_file_of_one_name_is_another_space() -> None:
    names = list(labels(spec_of("a", space_text="x"), spec_of("b", space_text="y")))
    assert len(set(names)) == 2
    assert all(name.startswith("space ") for name in names)


def test_one_group_is_named_by_its_searcher() -> None:
    assert labels(spec_of("a"), spec_of("b", seed=1)) == {"evolution": ["a", "b"]}


def test_the_baseline_of_a_group_has_its_settings() -> None:
    specs = [
        spec_of(f"{searcher}{epochs}", searcher=searcher, epochs=epochs)
        for searcher in ("random", "evolution")
        for epochs in (1, 2)
    ]
    assert baseline_pairs(group_studies(specs)) == [
        ("evolution, epochs 1", "random, epochs 1"),
        ("evolution, epochs 2", "random, epochs 2"),
    ]


def test_the_only_random_group_is_the_baseline_of_all() -> None:
    specs = [spec_of("a", searcher="nas/random"), spec_of("b", epochs=9)]
    assert baseline_pairs(group_studies(specs)) == [("evolution, epochs 9", "nas/random, epochs 5")]
    assert baseline_pairs(group_studies([spec_of("a"), spec_of("b", epochs=9)])) == []


def test_objectives_must_be_the_same() -> None:
    specs = [spec_of("a"), spec_of("b", objectives=(Objective("loss", "min"), LATENCY))]
    with pytest.raises(UsageError, match=r"a and b have other objectives.*\n.*--objective latency"):
        common_objectives(specs)
    assert common_objectives(specs, ["latency"]) == (LATENCY,)
    with pytest.raises(UnknownNameError, match="latency"):
        common_objectives(specs, ["error"])


def test_the_order_of_objectives_does_not_matter_but_the_direction_does() -> None:
    assert common_objectives([spec_of("a"), spec_of("b", objectives=BOTH[::-1])]) == BOTH
    turned = (Objective("error", "max"), LATENCY)
    with pytest.raises(UsageError, match="max error"):
        common_objectives([spec_of("a"), spec_of("b", objectives=turned)])
    with pytest.raises(UsageError, match="none in common"):
        common_objectives([spec_of("a", objectives=(ERROR,)), spec_of("b", objectives=(LATENCY,))])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": "cifar10:x"}, "digits → cifar10:x"),
        ({"data_fingerprint": "cd"}, "digits changed"),
        ({"target_labels": ("a100/compiled",)}, "a100/eager → a100/compiled"),
        ({"cost_model": "table"}, "utilisation → table"),
    ],
)
def test_what_is_not_the_same_quantity_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=f"a and b .*{said}.*cannot be compared"):
        check_comparable([spec_of("a"), spec_of("b", **changes)], BOTH)


def test_only_what_is_compared_must_be_the_same() -> None:
    other = spec_of("b", data="cifar10:x", cost_model="table")
    params = Objective("params", "min")
    assert check_comparable([spec_of("a"), other], [params]) == ()
    with pytest.raises(UsageError, match="other data"):
        check_comparable([spec_of("a"), other], [ERROR])


def test_a_named_target_is_compared_with_itself() -> None:
    two = {"targets": ("t4", "a100"), "target_names": ("t4", "a100"), "target_labels": ("t4/x", "a100/eager")}
    latency = Objective("latency@a100", "min")
    assert check_comparable([spec_of("a"), spec_of("b", **two)], [latency]) == ()
    with pytest.raises(UsageError, match="other targets"):
        check_comparable([spec_of("a"), spec_of("b", **two)], [LATENCY])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 9}, "epochs differ"),
        ({"recipe": (("learning_rate", 0.1),)}, "recipe differ"),
        ({"constraints": (Constraint("params", "<=", 5e6),)}, "constraints differ"),
        ({}, "a and b have the same seed"),
    ],
)
def test_what_a_reader_must_know(changes: dict[str, Any], said: str) -> None:
    notes = check_comparable([spec_of("a"), spec_of("b", **changes)], BOTH)
    assert len(notes) == 1
    assert notes[0].startswith(said)


def test_seeds_and_searchers_need_no_note() -> None:
    specs = [spec_of("a"), spec_of("b", seed=1), spec_of("c", searcher="random")]
    assert check_comparable(specs, BOTH) == ()
