"""A study of another program, in plain values: what an import makes a study of ours from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.search.trial import TrialState

Scalar = str | bool | int | float


@dataclass(frozen=True)
class ForeignTrial:
    """A trial that has ended: FINISHED with its `values`, STOPPED after its last step, or FAILED.

    `params` holds what was chosen, by name. `steps` are its intermediate values of the only objective, by the
    other program's count. `seconds` is its duration, None where it is not known.
    """

    number: int
    state: TrialState
    params: Mapping[str, Scalar]
    values: tuple[float, ...] = ()
    steps: tuple[tuple[int, float], ...] = ()
    seconds: float | None = None
    error: str = ""


@dataclass(frozen=True)
class ForeignStudy:
    """A study as it was read: `source` says where from, without a password.

    `directions` are ``min`` or ``max`` for each objective, `metric_names` what the other program calls them,
    empty where it does not. `options` maps each parameter to its values in order. `waiting` counts trials
    that have not ended; `notes` say what a user should know of the parameters.
    """

    program: str
    name: str
    source: str
    directions: tuple[str, ...]
    options: Mapping[str, tuple[Scalar, ...]]
    trials: tuple[ForeignTrial, ...]
    metric_names: tuple[str, ...] = ()
    waiting: int = 0
    notes: tuple[str, ...] = ()
