"""What counts on one of several targets: a study on two boards has one front for each."""

from __future__ import annotations

from collections.abc import Sequence

from nas.costs.confidence import cost_of
from nas.costs.cost import COST_NAMES
from nas.search.objective import Objective

INDEPENDENT = frozenset({"params", "macs"})
"""Costs of a network that are the same on every target."""


def objectives_on(
    objectives: Sequence[Objective], targets: Sequence[str], target: str
) -> tuple[Objective, ...]:
    """The objectives that count on a target: all that are no cost, and its own costs.

    A cost without ``@`` is that of the first target, but parameters and MACs are those of every target.

    >>> both = [Objective.parse(name) for name in ("accuracy", "latency@a100", "latency@pixel6")]
    >>> [objective.name for objective in objectives_on(both, ("a100", "pixel6"), "pixel6")]
    ['accuracy', 'latency@pixel6']
    """
    return tuple(o for o in objectives if target_of(o.name, targets) in (None, target))


def target_of(name: str, targets: Sequence[str]) -> str | None:
    """The target whose cost a name stands for; None for a metric, and for what is the same on every target.

    >>> target_of("latency", ("a100", "pixel6")), target_of("params", ("a100", "pixel6"))
    ('a100', None)
    """
    cost = cost_of(name)
    if cost not in COST_NAMES or cost in INDEPENDENT:
        return None
    return name.partition("@")[2] or targets[0]
