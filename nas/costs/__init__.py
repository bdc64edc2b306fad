"""Costs: what a network takes on a named target, before it is trained."""

from typing import TYPE_CHECKING

from nas._lazy import lazy_exports
from nas.costs.cost import COST_NAMES, Cost, OperatorCost
from nas.costs.model import CostModel
from nas.costs.operator_rule import OperatorRule
from nas.costs.target import Device, Figure, Target

if TYPE_CHECKING:
    from nas.costs.calibration import Calibration
    from nas.costs.columns import CostColumns
    from nas.costs.estimation import estimate, estimate_architecture
    from nas.costs.modules import load_module
    from nas.costs.operators import Operator, Trace
    from nas.costs.resolve import resolve_target
    from nas.costs.table import CostTable
    from nas.costs.target_file import read_target
    from nas.costs.training import TrainingCost, estimate_training

__all__ = [
    "COST_NAMES",
    "Calibration",
    "Cost",
    "CostColumns",
    "CostModel",
    "CostTable",
    "Device",
    "Figure",
    "Operator",
    "OperatorCost",
    "OperatorRule",
    "Target",
    "Trace",
    "TrainingCost",
    "estimate",
    "estimate_architecture",
    "estimate_training",
    "load_module",
    "read_target",
    "resolve_target",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "Calibration": "nas.costs.calibration",
        "CostColumns": "nas.costs.columns",
        "CostTable": "nas.costs.table",
        "Operator": "nas.costs.operators",
        "Trace": "nas.costs.operators",
        "TrainingCost": "nas.costs.training",
        "estimate": "nas.costs.estimation",
        "estimate_architecture": "nas.costs.estimation",
        "estimate_training": "nas.costs.training",
        "load_module": "nas.costs.modules",
        "read_target": "nas.costs.target_file",
        "resolve_target": "nas.costs.resolve",
    },
)
