"""From Optuna's parameters to decisions: for each the list of its values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nas.studies.foreign import Scalar

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

LISTED = 1_000
"""Up to so many values a stepped range is listed whole; of a longer one only the values seen are options."""

DIGITS = ".12"
"""So many digits tell numbers apart: 0.1 + 2 * 0.1 is the 0.3 that its user wrote."""

_ROUNDING = 1e-9


def options_of(trials: Sequence[FrozenTrial]) -> tuple[dict[str, tuple[Scalar, ...]], list[str]]:
    """For each parameter its values, and notes on those that were continuous or too long to list.

    Parameters stand in the order in which trials first had them, those of one trial by name. Categorical
    values keep their order, numbers ascend.
    """
    seen: dict[str, list[FrozenTrial]] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        for name in sorted(trial.params):
            seen.setdefault(name, []).append(trial)
    options, notes = {}, []
    for name, having in seen.items():
        options[name], is_sampled = _options(name, having)
        if is_sampled:
            notes.append(f"{name}: of its range only the {len(options[name])} values seen are options")
    return options, notes


class Values:
    """Finds the option that a parameter's value is."""

    def __init__(self, options: Mapping[str, Sequence[Scalar]]) -> None:
        self._options = {name: {_key(v): v for v in values} for name, values in options.items()}

    def plain(self, params: Mapping[str, Any]) -> dict[str, Scalar]:
        """The parameters of a trial, each as the option that it is."""
        return {name: self._options[name][_key(_scalar(value))] for name, value in params.items()}


def _options(name: str, trials: Sequence[FrozenTrial]) -> tuple[tuple[Scalar, ...], bool]:
    """The union of what all trials could choose from; whether it is only what they did choose."""
    ranges = list(dict.fromkeys(repr(trial.distributions[name]) for trial in trials))
    by_text = {repr(trial.distributions[name]): trial.distributions[name] for trial in trials}
    listed = [_listed(by_text[text]) for text in ranges]
    is_sampled = any(values is None for values in listed)
    values = _union(values or () for values in listed)
    values = _union([values, [_scalar(trial.params[name]) for trial in trials]])
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        values.sort(key=float)
    return tuple(values), is_sampled


def _listed(distribution: Any) -> list[Scalar] | None:
    """Every value of a distribution; None where it is continuous or too long."""
    if hasattr(distribution, "choices"):
        return [_scalar(choice) for choice in distribution.choices]
    low, high, step = distribution.low, distribution.high, distribution.step
    if low == high:
        return [low]
    count = None if step is None else math.floor((high - low) / step * (1 + _ROUNDING)) + 1
    if count is None or count > LISTED:
        return None
    if isinstance(step, int):
        return [low + i * step for i in range(count)]
    return [float(f"{low + i * step:{DIGITS}g}") for i in range(count)]


def _union(groups: Iterable[Iterable[Scalar]]) -> list[Scalar]:
    """All values in order, each once."""
    values: dict[tuple[str, Any], Scalar] = {}
    for group in groups:
        for value in group:
            values.setdefault(_key(value), value)
    return list(values.values())


def _key(value: Scalar) -> tuple[str, Any]:
    """Equal for values that are one option: True is not 1, and rounding makes no other number."""
    if isinstance(value, bool | str):
        return type(value).__name__, value
    return "number", str(value) if isinstance(value, int) else f"{value:{DIGITS}g}"


def _scalar(value: Any) -> Scalar:
    """A choice as JSON can hold it; None and others as text."""
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)
