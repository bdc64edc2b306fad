"""Neural architecture search: accurate networks that are cheap on the named chip."""

from typing import TYPE_CHECKING

from nas._lazy import lazy_exports
from nas.search.api import search

if TYPE_CHECKING:
    from nas.blocks.block import Block
    from nas.costs.cost import Cost
    from nas.costs.estimation import estimate
    from nas.costs.table import CostTable
    from nas.costs.target import Target
    from nas.errors import NasError
    from nas.plugins.hookspecs import hookimpl
    from nas.search.objective import Constraint, Objective
    from nas.spaces.architecture import Architecture
    from nas.spaces.knobs import Choice
    from nas.spaces.signature import Signature
    from nas.spaces.space import Space

__version__ = "0.1.0"
__all__ = [
    "Architecture",
    "Block",
    "Choice",
    "Constraint",
    "Cost",
    "CostTable",
    "NasError",
    "Objective",
    "Signature",
    "Space",
    "Target",
    "estimate",
    "hookimpl",
    "search",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "Architecture": "nas.spaces.architecture",
        "Block": "nas.blocks.block",
        "Choice": "nas.spaces.knobs",
        "Constraint": "nas.search.objective",
        "Cost": "nas.costs.cost",
        "CostTable": "nas.costs.table",
        "NasError": "nas.errors",
        "Objective": "nas.search.objective",
        "Signature": "nas.spaces.signature",
        "Space": "nas.spaces.space",
        "Target": "nas.costs.target",
        "estimate": "nas.costs.estimation",
        "hookimpl": "nas.plugins.hookspecs",
    },
)
