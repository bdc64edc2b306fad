"""A cost model as a plugin offers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas._lazy import resolve
from nas.costs.cost import Cost, cost_problem
from nas.errors import CostError, NasError

if TYPE_CHECKING:
    from nas.costs.operators import Trace
    from nas.costs.target import Target


@dataclass(frozen=True)
class CostModel:
    """A predictor: prices the operator trace of a module on a target.

    `predict(trace, target)` (or ``"module:name"`` of it) returns a Cost with one OperatorCost per operator.
    Latency, its bounds and energy must be sums over operators plus at most a constant per network, so that a
    table can price an architecture from its blocks; peak memory less the trace's `weight_bytes` must be that
    of the most demanding layer, plus at most a constant. `version` names the fitted numbers and is stored
    with every figure.
    """

    name: str
    predict: Callable[[Trace, Target], Cost] | str
    version: str
    description: str = ""

    def price(self, trace: Trace, target: Target, owner: object = None) -> Cost:
        """The cost of one traced module on one target; `owner` is named where something is wrong with it.

        Raises CostError where `predict` raises, or returns what no cost can be.
        """
        name = f"cost model {self.name!r}" + (f" of plugin {owner}" if owner is not None else "")
        predict = resolve(self.predict) if isinstance(self.predict, str) else self.predict
        try:
            cost = predict(trace, target)
        except NasError:
            raise
        except Exception as error:
            raise CostError(
                f"{name} raised {type(error).__name__} on {target.label}: {error}. "
                "This is a defect of the model."
            ) from error
        problem = cost_problem(cost)
        if problem is not None:
            raise CostError(f"{name} gave {problem} on {target.label}. This is a defect of the model.")
        return cost
