"""The settings of a study: names, JSON, differences."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import StoreError, UsageError
from nas.search.objective import Constraint, Objective
from nas.search.study import StudySpec, check_name

SPEC = StudySpec(
    name="mobile-a100",
    space="mobile",
    space_text="name = 'mobile'\n",
    targets=("a100",),
    objectives=(Objective("accuracy", "max"), Objective("latency", "min")),
    target_names=("a100",),
    target_labels=("a100-sxm4-80gb/compiled/fp16/b1/nchw",),
    constraints=(Constraint("latency", "<=", 2.0),),
    target_overrides=(("batch_size", 8), ("precision", "fp16")),
    recipe=(("learning_rate", 0.1), ("optimizer", "sgd")),
)


@pytest.mark.parametrize("name", ["a", "mobile-a100", "x.y_z-1", "0", "a" * 64])
def test_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        ".",
        "..",
        "-a",
        "_a",
        "a/b",
        "a\\b",
        "../a",
        "a b",
        "a'b",
        'a"b',
        "a\n",
        "ä",
        "💥",
        "a\0",
        "a" * 65,
        "a:b",
    ],
)
def test_names_that_are_not_allowed(name: str) -> None:
    with pytest.raises(UsageError, match="is not allowed") as caught:
        check_name(name)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError):
        replace(SPEC, name=name)


@given(st.text(max_size=70))
def test_any_text_is_a_safe_name_or_refused(text: str) -> None:
    try:
        check_name(text)
    except UsageError:
        return
    assert text.isascii()
    assert text == text.lower()
    assert not set(text) & set("/\\\"' \n\0")


def test_json_and_back() -> None:
    assert StudySpec.from_json(SPEC.to_json()) == SPEC
    assert json.loads(SPEC.to_json())["objectives"][0] == {"name": "accuracy", "direction": "max"}


def broken(**changes: Any) -> str:
    content = json.loads(SPEC.to_json())
    for key, value in changes.items():
        if value is None:
            del content[key]
        else:
            content[key] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "3",
        "null",
        "{}",
        broken(name=None),
        broken(objectives=None),
        broken(objectives=[{"name": "x"}]),
        broken(objectives=[3]),
        broken(constraints=[{"name": "x", "operator": "<=", "limit": 1, "more": 2}]),
        broken(recipe=[[1, 2, 3]]),
        broken(targets=3),
        broken(newer_setting=1),
    ],
)
def test_settings_of_another_version_are_a_store_error(text: str) -> None:
    with pytest.raises(StoreError, match="settings cannot be read"):
        StudySpec.from_json(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trials": 0}, "--trials must be at least 1, not 0"),
        ({"trials": -5}, "--trials must be"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"objectives": ()}, "at least one --objective"),
    ],
)
def test_settings_that_cannot_work(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(SPEC, **change)


def test_equal_settings_do_not_differ() -> None:
    assert SPEC.differences(SPEC) == []


def test_the_budget_may_change() -> None:
    assert SPEC.differences(replace(SPEC, trials=99)) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"seed": 7}, "seed: 0 → 7"),
        ({"epochs": 9}, "epochs: 5 → 9"),
        ({"targets": ("a100", "t4")}, "targets: a100 → a100, t4"),
        ({"space_text": "other"}, "space_text: changed"),
        ({"objectives": (Objective("loss", "min"),)}, "objectives: accuracy, latency → loss"),
        ({"recipe": (("optimizer", "sgd"),)}, "recipe: learning_rate=0.1, optimizer=sgd → optimizer=sgd"),
    ],
)
def test_each_difference_is_one_line(change: dict[str, Any], line: str) -> None:
    assert SPEC.differences(replace(SPEC, **change)) == [line]
