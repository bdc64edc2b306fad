"""A network scaled to more or less work, and what that did to its costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.costs import estimate_architecture
from nas.costs.cost import DEFAULT_MODEL
from nas.costs.estimation import network_of
from nas.spaces.architecture import Architecture
from nas.spaces.scaling import MULTIPLE, Scaling, scale_network

if TYPE_CHECKING:
    from nas.costs.cost import Cost
    from nas.costs.target import Target
    from nas.plugins import Registry


@dataclass(frozen=True)
class Scaled:
    """A scaled architecture beside the one it was made of: both costs on every target."""

    architecture: Architecture
    scaling: Scaling
    before: tuple[Cost, ...]
    after: tuple[Cost, ...]


def scale(
    architecture: Architecture,
    by: float,
    targets: tuple[Target, ...],
    registry: Registry,
    *,
    alpha: float = 0.8,
    multiple: int = MULTIPLE,
) -> Scaled:
    """Scales an architecture and prices it; parameters, MACs and activations are the same on all targets.

    Raises InputError where a block does not fit the scaled network.
    """
    network = network_of(architecture)
    scaled = Architecture(scale_network(network, by, registry.blocks, alpha=alpha, multiple=multiple))
    before, after = (
        tuple(estimate_architecture(each, target, registry, DEFAULT_MODEL) for target in targets)
        for each in (architecture, scaled)
    )
    return Scaled(scaled, Scaling(by, alpha, len(network.input.size)), before, after)
