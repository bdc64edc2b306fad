"""How many parameters a module has."""

from __future__ import annotations

from torch import nn


def parameter_count(module: nn.Module) -> int:
    """The parameters of a module, shared ones once; of a part that is pruned, those it will keep.

    A part says by a method ``pruned_parameters()`` how many of its own parameters its deployed form does not
    hold. Weights that are only multiplied by a mask are held, and counted.
    """
    pruned = 0
    for part in module.modules():
        count = getattr(part, "pruned_parameters", None)
        pruned += count() if callable(count) else 0
    return sum(parameter.numel() for parameter in module.parameters()) - pruned
