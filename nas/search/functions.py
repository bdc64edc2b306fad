"""A user's function as an evaluator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from nas.errors import TrialError, UsageError
from nas.search.trial import TrialRequest


@dataclass(frozen=True)
class FunctionEvaluator:
    """Calls a function of the architecture, or of the whole request where its argument is called ``request``.

    The function returns the metrics of the trial, or yields those of each step. A single number is the value
    of `only`, the one objective that is not known beforehand (None where there are more).
    """

    function: Callable[[Any], Any]
    only: str | None
    takes_request: bool = False

    def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
        """Yields the metrics of each step."""
        outcome = self.function(request if self.takes_request else request.architecture)
        if isinstance(outcome, Iterator):
            try:
                for step in outcome:
                    yield self._metrics(step)
            finally:
                getattr(outcome, "close", _nothing)()
        else:
            yield self._metrics(outcome)

    def _metrics(self, outcome: Any) -> Mapping[str, float]:
        if isinstance(outcome, Mapping):
            return outcome
        if not isinstance(outcome, Real) and not hasattr(outcome, "__float__"):
            raise TrialError(
                f"evaluate returned {type(outcome).__name__}; it must return {{name: number}} or a number"
            )
        if self.only is None:
            raise TrialError(
                "evaluate returned a number, but several objectives wait for one: return {name: value}"
            )
        return {self.only: float(outcome)}


def make_evaluator(function: Callable[[Any], Any], wanted: tuple[str, ...]) -> FunctionEvaluator:
    """The evaluator of a function; `wanted` are the objectives and constraints that nothing else tells."""
    if not callable(function):
        raise UsageError(f"evaluate must be a function of an architecture, not {type(function).__name__}")
    return FunctionEvaluator(function, wanted[0] if len(wanted) == 1 else None, _takes_request(function))


def _takes_request(function: Callable[[Any], Any]) -> bool:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    return bool(parameters) and parameters[0].name == "request"


def _nothing() -> None:
    """Closes an iterator that cannot be closed."""
