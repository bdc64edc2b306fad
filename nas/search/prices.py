"""What is known of an architecture before it is evaluated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nas.errors import TrialError, UsageError
from nas.search.contracts import Price
from nas.search.objective import Constraint
from nas.spaces.architecture import Architecture


class Pricing:
    """The known values of architectures, and the constraints that can be checked by them.

    Constraints on what only an evaluation tells are not looked at here.
    """

    def __init__(self, known: Mapping[str, Price], constraints: Iterable[Constraint] = ()) -> None:
        self._known = dict(known)
        self.names = tuple(self._known)
        self.constraints = tuple(c for c in constraints if c.name in self._known)

    def values(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """For each architecture its known values by name."""
        if not architectures:
            return []
        columns = {name: self._column(name, architectures) for name in self._known}
        return [{name: column[i] for name, column in columns.items()} for i in range(len(architectures))]

    def _column(self, name: str, architectures: Sequence[Architecture]) -> list[float]:
        column = [float(value) for value in self._known[name](architectures)]
        if len(column) != len(architectures):
            raise UsageError(
                f"known objective {name!r} gave {len(column)} values for {len(architectures)} architectures"
            )
        return column

    def broken(self, values: Mapping[str, float]) -> list[Constraint]:
        """The known constraints that some known values do not keep."""
        return [
            constraint for constraint in self.constraints if not constraint.allows(values[constraint.name])
        ]

    def is_allowed(self, values: Mapping[str, float]) -> bool:
        """Whether every known constraint is kept."""
        return not self.broken(values)

    def violation(self, values: Mapping[str, float]) -> float:
        """How far the values are beyond the known limits, relative to them; 0 where they keep all."""
        total = 0.0
        for constraint in self.broken(values):
            excess = abs(values[constraint.name] - constraint.limit) / (abs(constraint.limit) or 1.0)
            total += excess if math.isfinite(excess) else math.inf
        return total

    def allowed(self, architectures: Sequence[Architecture]) -> list[Architecture]:
        """Those that keep every known constraint."""
        if not self.constraints:
            return list(architectures)
        priced = zip(architectures, self.values(architectures), strict=True)
        return [architecture for architecture, values in priced if self.is_allowed(values)]


class FunctionPrice:
    """A user's function as a price: of one architecture, or of a sequence of them at once.

    Which of the two it is shows at its first call: one that takes a sequence gives a sequence of as many
    numbers. Raises TrialError naming the objective where the function fails.
    """

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        if not callable(function):
            raise UsageError(f"known objective {name!r} must be a function of an architecture")
        self._name = name
        self._function = function
        self._takes_many: bool | None = None

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """One number for each architecture."""
        if not architectures:
            return []
        if self._takes_many is None:
            self._takes_many = self._gives_many(architectures[:1])
        try:
            if self._takes_many:
                return [float(value) for value in self._function(architectures)]
            return [float(self._function(architecture)) for architecture in architectures]
        except Exception as error:
            raise TrialError(
                f"known objective {self._name!r} failed: {type(error).__name__}: {error}"
            ) from error

    def _gives_many(self, sample: Sequence[Architecture]) -> bool:
        try:
            return len(self._function(sample)) == 1
        except Exception:
            return False
