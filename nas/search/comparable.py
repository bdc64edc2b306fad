"""Which studies may be compared, by what, and what tells them apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from itertools import combinations, groupby
from typing import Any

from nas.costs.confidence import cost_of
from nas.costs.cost import COST_NAMES
from nas.errors import UnknownNameError, UsageError
from nas.search.objective import Objective
from nas.search.study import StudySpec, shown_setting

SAME = frozenset({"name", "seed", "trials", "baseline"})
"""The settings in which the studies of one group may differ."""

IMPLIED = {
    "space_text": ("space",),
    "data_fingerprint": ("data",),
    "target_names": ("targets",),
    "target_labels": ("targets", "target_overrides"),
}
"""Settings that differ wherever another one does: not worth a word then."""

COUNTS = frozenset({"params", "macs"})
"""Costs that are the same on every target."""

RANDOM = "random"


def common_objectives(specs: Sequence[StudySpec], wanted: Sequence[str] = ()) -> tuple[Objective, ...]:
    """The objectives of all the studies, or those of them that are wanted by name.

    Raises UsageError where the studies differ in them, UnknownNameError for one that is not an objective
    of all.
    """
    shared = [o for o in specs[0].objectives if all(o in spec.objectives for spec in specs)]
    if wanted:
        by_name = {objective.name: objective for objective in shared}
        for name in wanted:
            if name not in by_name:
                raise UnknownNameError("common objective", name, by_name)
        return tuple(by_name[name] for name in dict.fromkeys(wanted))
    for spec in specs[1:]:
        if set(spec.objectives) != set(specs[0].objectives):
            hint = " ".join(f"--objective {o.name}" for o in shared)
            raise UsageError(
                f"{specs[0].name} and {spec.name} have other objectives: {_named(specs[0])} against"
                f" {_named(spec)}.\n"
                + (f"Compare what they share: {hint}" if hint else "They have none in common.")
            )
    return tuple(shared)


def check_comparable(specs: Sequence[StudySpec], objectives: Sequence[Objective]) -> tuple[str, ...]:
    """What a reader must know of studies that differ in more than how they search.

    Raises UsageError where one objective means different things: other data, another target or another cost
    model.
    """
    first = specs[0]
    for spec in specs[1:]:
        for objective in objectives:
            _check_meaning(first, spec, objective.name)
    return tuple(_notes(specs, objectives))


def _check_meaning(first: StudySpec, second: StudySpec, name: str) -> None:
    """Raises UsageError where an objective of two studies is not the same quantity."""
    pair = f"{first.name} and {second.name}"
    if not _is_cost(name):
        if (first.data, first.data_fingerprint) != (second.data, second.data_fingerprint):
            other = f"{first.data} → {second.data}" if first.data != second.data else f"{first.data} changed"
            raise UsageError(f"{pair} were trained on other data ({other}): {name!r} cannot be compared")
    elif name not in COUNTS:
        if first.cost_model != second.cost_model:
            models = f"{first.cost_model} → {second.cost_model}"
            raise UsageError(f"{pair} have other cost models ({models}): {name!r} cannot be compared")
        here, there = _labels(first, name), _labels(second, name)
        if here != there:
            targets = f"{', '.join(here)} → {', '.join(there)}"
            raise UsageError(f"{pair} are for other targets ({targets}): {name!r} cannot be compared")


def _is_cost(name: str) -> bool:
    return cost_of(name) in COST_NAMES


def _labels(spec: StudySpec, name: str) -> tuple[str, ...]:
    """The profiles of the targets that a cost is taken on."""
    target = name.partition("@")[2]
    labels = zip(spec.target_names, spec.target_labels, strict=True)
    return tuple(label for known, label in labels if target in ("", known))


def _notes(specs: Sequence[StudySpec], objectives: Sequence[Objective]) -> list[str]:
    trained = any(not _is_cost(objective.name) for objective in objectives)
    notes = [
        f"{key} differ: a trial of one study is not worth a trial of another"
        for key in ("epochs", "recipe")
        if trained and len({getattr(spec, key) for spec in specs}) > 1
    ]
    if len({frozenset(map(str, spec.constraints)) for spec in specs}) > 1:
        notes.append("constraints differ: each study is judged by its own")
    for one, other in combinations(specs, 2):
        if one.seed == other.seed and _settings(one) == _settings(other):
            notes.append(f"{one.name} and {other.name} have the same seed: their spread says nothing")
    return notes


def group_studies(specs: Sequence[StudySpec]) -> list[tuple[str, tuple[StudySpec, ...]]]:
    """Studies that differ in nothing but the seed stand together, under a label that says what differs."""
    keys = [_settings(spec) for spec in specs]
    order = sorted(range(len(specs)), key=lambda index: keys.index(keys[index]))
    groups = [
        [specs[i] for i in part] for _, part in groupby(order, key=lambda index: keys.index(keys[index]))
    ]
    differing = _differing([members[0] for members in groups])
    return [(_label(members, differing), tuple(members)) for members in groups]


def baseline_pairs(groups: Sequence[tuple[str, Sequence[StudySpec]]]) -> list[tuple[str, str]]:
    """(label of a group, label of its random baseline) for each group that has one.

    The baseline has the same settings but the searcher; else it is the only random group.
    """
    randoms = [(label, members[0]) for label, members in groups if _is_random(members[0])]
    pairs = []
    for label, members in groups:
        if _is_random(members[0]):
            continue
        twin = [
            other
            for other, spec in randoms
            if _settings(spec, "searcher") == _settings(members[0], "searcher")
        ]
        chosen = twin or ([randoms[0][0]] if len(randoms) == 1 else [])
        pairs += [(label, other) for other in chosen]
    return pairs


def _is_random(spec: StudySpec) -> bool:
    return spec.searcher.rpartition("/")[2] == RANDOM


def _settings(spec: StudySpec, *without: str) -> tuple[tuple[str, Any], ...]:
    """What the studies of a group have in common, by name."""
    keys = (field.name for field in fields(spec) if field.name not in SAME and field.name not in without)
    return tuple((key, getattr(spec, key)) for key in keys)


def _differing(specs: Sequence[StudySpec]) -> list[str]:
    """The settings in which some studies differ, the implied ones left out; the searcher comes first."""
    keys = [field.name for field in fields(specs[0]) if field.name not in SAME]
    found = [key for key in keys if any(getattr(s, key) != getattr(specs[0], key) for s in specs)]
    told = [key for key in found if not set(IMPLIED.get(key, ())) & set(found)]
    return sorted(told, key=lambda key: key != "searcher")


def _label(members: Sequence[StudySpec], differing: Sequence[str]) -> str:
    """What is special about a group; the name of its study, or its searcher, where nothing differs."""
    spec = members[0]
    if not differing:
        return spec.searcher
    return ", ".join(_described(spec, key) for key in differing)


def _described(spec: StudySpec, key: str) -> str:
    value = getattr(spec, key)
    if key == "searcher":
        return str(value)
    if key in ("space_text", "data_fingerprint"):
        what = "space" if key == "space_text" else "data"
        return f"{what} {hashlib.sha256(str(value).encode()).hexdigest()[:6]}"
    shown = ", ".join(map(str, value)) if key == "constraints" else shown_setting(value)
    return f"{key.replace('_', ' ')} {shown or 'none'}"


def _named(spec: StudySpec) -> str:
    return ", ".join(f"{objective.direction} {objective.name}" for objective in spec.objectives)
