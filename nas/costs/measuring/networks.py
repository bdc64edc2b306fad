"""Random networks of a space, as a calibration for that space measures them.

Whole ones: a few layers, measured over and over, are quicker than they are within a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from nas.blocks import build, fuse
from nas.costs.measuring.kernels import MicroKernel
from nas.plugins import default_registry

if TYPE_CHECKING:
    from nas.plugins import Registry
    from nas.spaces import Space
    from nas.spaces.architecture import Network

DRAWN = 16
"""Architectures that are drawn at a time."""


def sampled_networks(
    space: Space, registry: Registry, batch: int = 1, seed: int = 0
) -> Iterator[MicroKernel]:
    """Distinct random networks of a space in their deployed form, until no others are drawn.

    Raises CostError for a flat space, which has no networks.
    """
    from nas.costs.estimation import network_of

    own = None if registry is default_registry() else registry
    generator = np.random.default_rng(seed)
    known: set[Network] = set()
    while True:
        before = len(known)
        for vector in space.sample_vectors(DRAWN, generator):
            network = network_of(space.decode(vector))
            if network not in known:
                known.add(network)
                name = f"network {len(known)} of {space.name}"
                shapes = ((batch, *network.input.shape),)
                yield MicroKernel(name, partial(_deployed, network, own), shapes)
        if len(known) == before:
            return


def _deployed(network: Network, registry: Registry | None) -> nn.Module:
    """The module of a network; the registry of all processes where none is given, as it cannot be sent to
    another."""
    return fuse(build(network, (registry or default_registry()).blocks).eval())
