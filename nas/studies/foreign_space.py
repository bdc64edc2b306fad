"""The parameters of another program's study as decisions of a space."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import SpaceError, UsageError
from nas.search.trial import TrialState
from nas.spaces import Space
from nas.studies.foreign import ForeignStudy, ForeignTrial, Scalar

if TYPE_CHECKING:
    from nas.spaces.architecture import Architecture

ABSENT = "absent"
"""The option of a conditional parameter in the trials that did not have it."""


@dataclass(frozen=True)
class Spelling:
    """How trials become architectures of a space.

    `architecture` gives that of a trial, or why it has none; `text` is what the study keeps of the space.
    """

    space: Space
    text: str
    architecture: Callable[[ForeignTrial], Architecture | str]
    notes: tuple[str, ...] = ()


def flat_spelling(foreign: ForeignStudy) -> Spelling:
    """A flat space of all parameters; one that some finished trials lack has the option ``absent`` too.

    Raises UsageError where there are no parameters, or one has more values than a decision may have.
    """
    if not foreign.options:
        raise UsageError(f"{foreign.source}: study {foreign.name!r} has no trial with parameters to import")
    conditional = _conditional(foreign)
    options = {
        name: [*values, ABSENT] if name in conditional else list(values)
        for name, values in foreign.options.items()
    }
    try:
        space = Space.flat(options, name=foreign.program)
    except SpaceError as error:
        raise UsageError(f"{foreign.source}: {error}") from None
    notes = tuple(f"{name}: trials without it have the option {ABSENT!r}" for name in sorted(conditional))
    choices = dict.fromkeys(conditional, ABSENT)

    def architecture(trial: ForeignTrial) -> Architecture | str:
        given = {**choices, **trial.params}
        if len(given) < len(options):
            return "lack a parameter that every finished one has"
        return _decode(space, given)

    return Spelling(space, json.dumps(options), architecture, notes)


def space_spelling(space: Space) -> Spelling:
    """Parameters are decisions of this space by name; trials that do not fit are left out."""
    names = {decision.name for decision in space.decisions}

    def architecture(trial: ForeignTrial) -> Architecture | str:
        if set(trial.params) - names:
            return f"have parameters that are no decisions of space {space.name!r}"
        return _decode(space, trial.params)

    text = space.text or json.dumps({d.name: list(d.options) for d in space.decisions})
    return Spelling(space, text, architecture)


def _conditional(foreign: ForeignStudy) -> set[str]:
    """The parameters that some finished trial lacks; without a finished one, some stopped trial."""
    for state in (TrialState.FINISHED, TrialState.STOPPED):
        having: list[set[str]] = [set(trial.params) for trial in foreign.trials if trial.state is state]
        if having:
            return set(foreign.options) - having[0].intersection(*having[1:])
    return set()


def _decode(space: Space, params: Mapping[str, Scalar]) -> Architecture | str:
    """The architecture of some choices; else what keeps it from being one."""
    vector = np.zeros(len(space.decisions), dtype=np.int64)
    for column, decision in enumerate(space.decisions):
        if decision.name in params:
            index = _index(decision.options, params[decision.name])
            if index is None:
                return f"have values that are no options of space {space.name!r}"
            vector[column] = index
    if not space.is_valid(vector):
        return f"are not valid in space {space.name!r}"
    if any(space.decisions[column].name not in params for column in space.active(vector)):
        return f"lack decisions of space {space.name!r}"
    return space.decode(space.canonical(vector))


def _index(options: tuple[Scalar, ...], value: Scalar) -> int | None:
    """The place of a value among the options, where True is not 1."""
    is_bool = isinstance(value, bool)
    return next((i for i, o in enumerate(options) if o == value and isinstance(o, bool) == is_bool), None)
