"""Stretches of the networks of a space: a few layers one behind the other, as they are met there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from nas.blocks import build_element, fuse
from nas.costs.measuring.kernels import MicroKernel

if TYPE_CHECKING:
    from nas.plugins import Registry
    from nas.spaces import Space
    from nas.spaces.architecture import Graph, Layer
    from nas.spaces.signature import Signature

    Placed = tuple[Layer | Graph, Signature]

LAYERS = 4
"""Layers of a stretch: enough to share caches and memory as in a network, few enough to tell kinds apart."""


def stretches(space: Space, registry: Registry, batch: int = 1, seed: int = 0) -> Iterator[MicroKernel]:
    """Distinct stretches of random networks of a space, in their deployed form, until it has no others.

    Stretches of one network follow each other, so that any number of them covers all depths alike. Raises
    CostError for a flat space, which has no networks.
    """
    from nas.costs.estimation import network_of
    from nas.spaces import element_signatures

    generator = np.random.default_rng(seed)
    known: set[tuple[Placed, ...]] = set()
    while True:
        before = len(known)
        for vector in space.sample_vectors(16, generator):
            network = network_of(space.decode(vector))
            placed = element_signatures(network, registry.blocks)
            for start in range(0, len(placed), LAYERS):
                stretch = tuple(placed[start : start + LAYERS])
                if stretch not in known:
                    known.add(stretch)
                    yield _micro(stretch, registry, network.classes, batch)
        if len(known) == before:
            return


def _micro(stretch: Sequence[Placed], registry: Registry, classes: int, batch: int) -> MicroKernel:
    shape = stretch[0][1].shape
    extent = "x".join(map(str, shape))
    make = partial(_built, stretch, registry, classes)
    return MicroKernel(f"{len(stretch)} layers on {extent}", make, ((batch, *shape),))


def _built(stretch: Sequence[Placed], registry: Registry, classes: int) -> nn.Module:
    parts = (build_element(element, signature, registry.blocks, classes) for element, signature in stretch)
    return fuse(nn.Sequential(*parts).eval())
