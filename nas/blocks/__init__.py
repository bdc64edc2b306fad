"""Building blocks: what a block is, and how an architecture becomes a torch module."""

from typing import TYPE_CHECKING

from nas._lazy import lazy_exports
from nas.blocks.block import ROLES, Block

if TYPE_CHECKING:
    from nas.blocks.cell import Cell
    from nas.blocks.fusion import fold_batch_norm, fold_batch_norm_in_front, fuse
    from nas.blocks.layer import InnerBlock
    from nas.blocks.model import Model, build, build_element
    from nas.blocks.parameters import parameter_count
    from nas.blocks.relax import relax_strides

__all__ = [
    "ROLES",
    "Block",
    "Cell",
    "InnerBlock",
    "Model",
    "build",
    "build_element",
    "fold_batch_norm",
    "fold_batch_norm_in_front",
    "fuse",
    "parameter_count",
    "relax_strides",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "Cell": "nas.blocks.cell",
        "InnerBlock": "nas.blocks.layer",
        "Model": "nas.blocks.model",
        "build": "nas.blocks.model",
        "build_element": "nas.blocks.model",
        "fold_batch_norm": "nas.blocks.fusion",
        "fold_batch_norm_in_front": "nas.blocks.fusion",
        "fuse": "nas.blocks.fusion",
        "parameter_count": "nas.blocks.parameters",
        "relax_strides": "nas.blocks.relax",
    },
)
