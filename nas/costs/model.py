"""A cost model as a plugin offers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nas._lazy import resolve
from nas.costs.cost import FINISHED, Cost, cost_problem
from nas.errors import CostError, NasError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nas.costs.operators import Trace
    from nas.costs.target import Target

    Finish: TypeAlias = Callable[[NDArray[np.float64], Target], NDArray[np.float64]]

AGREEMENT = 1e-6
"""How far `predict` and `finish` may differ, relative: rounding, summed in another order."""


@dataclass(frozen=True)
class CostModel:
    """A predictor: prices the operator trace of a module on a target.

    `predict(trace, target)` (or ``"module:name"`` of it) returns a Cost with one OperatorCost per operator.
    A table prices an architecture from its layers, in one of two ways. Without `finish`, latency, its bounds
    and energy must be sums over operators plus at most a constant per network. With it, `predict` also fills
    `Cost.amounts`, numbers that are such sums, always as many for one target; and `finish(amounts, target)`
    (or its ``"module:name"``) gives latency_ms, low_ms, high_ms and energy_mj of n networks, of shape (n, 4),
    from their amounts of shape (n, k). It must give one network what `predict` gives it.

    A layer behind others is priced with the kind of the operator that made its input, `Trace.input_kind`, for
    a model that runs several operators as one kernel: only what reads nothing but the input may join it.

    Peak memory less the trace's `weight_bytes` must be that of the most demanding layer, plus at most a
    constant. `version` names the fitted numbers and is stored with every figure.
    """

    name: str
    predict: Callable[[Trace, Target], Cost] | str
    version: str
    description: str = ""
    finish: Finish | str | None = None

    def price(self, trace: Trace, target: Target, owner: object = None) -> Cost:
        """The cost of one traced module on one target; `owner` is named where something is wrong with it.

        Raises CostError where `predict` raises, or returns what no cost can be, or what `finish` does not
        confirm.
        """
        predict = resolve(self.predict) if isinstance(self.predict, str) else self.predict
        try:
            cost = predict(trace, target)
        except NasError:
            raise
        except Exception as error:
            raise self._raised(error, target, owner) from error
        problem = cost_problem(cost)
        if problem is not None:
            raise self._defect(problem, target, owner)
        if self.finish is not None:
            self._confirm(cost, target, owner)
        return cost

    def finished(
        self, amounts: NDArray[np.float64], target: Target, owner: object = None
    ) -> NDArray[np.float64]:
        """The figures FINISHED of n networks, of shape (n, 4), from their amounts of shape (n, k).

        Without `finish` the amounts are these figures. Raises CostError where `finish` raises, or returns
        what no figures can be.
        """
        if self.finish is None:
            return amounts
        import numpy as np

        from nas.costs.finishing import figures_problem

        finish = resolve(self.finish) if isinstance(self.finish, str) else self.finish
        try:
            found = np.asarray(finish(amounts, target), dtype=np.float64)
        except NasError:
            raise
        except Exception as error:
            raise self._raised(error, target, owner) from error
        problem = figures_problem(found, len(amounts))
        if problem is not None:
            raise self._defect(problem, target, owner)
        return found

    def _confirm(self, cost: Cost, target: Target, owner: object) -> None:
        """Raises CostError where a cost is not what `finish` makes of its amounts."""
        if not cost.amounts:
            raise self._defect("a Cost without the amounts that its `finish` takes", target, owner)
        import numpy as np

        figures = self.finished(np.array([cost.amounts], dtype=np.float64), target, owner)[0]
        for name, figure in zip(FINISHED, figures.tolist(), strict=True):
            value = getattr(cost, name)
            if abs(value - figure) > AGREEMENT * max(value, figure):
                raise self._defect(f"{name} = {value:g} where its `finish` gives {figure:g}", target, owner)

    def _named(self, owner: object) -> str:
        return f"cost model {self.name!r}" + (f" of plugin {owner}" if owner is not None else "")

    def _raised(self, error: Exception, target: Target, owner: object) -> CostError:
        return CostError(
            f"{self._named(owner)} raised {type(error).__name__} on {target.label}: {error}. "
            "This is a defect of the model."
        )

    def _defect(self, problem: str, target: Target, owner: object) -> CostError:
        return CostError(
            f"{self._named(owner)} gave {problem} on {target.label}. This is a defect of the model."
        )
