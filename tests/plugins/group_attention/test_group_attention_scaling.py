"""Networks of this family scale: group sizes have to fit what the widths become."""

from __future__ import annotations

import numpy as np
import pytest

from nas.errors import InputError
from nas.plugins import default_registry
from nas.spaces import Network, element_signatures, load_space
from nas.spaces.scaling import scale_network

REGISTRY = default_registry()
BLOCKS = REGISTRY.blocks


def published(name: str) -> Network:
    network = load_space(f"published/{name}", REGISTRY).sample(np.random.default_rng(0)).network
    assert network is not None
    return network


def test_a_block_that_does_not_fit_is_named() -> None:
    network = published("resnext50_32x4d")
    with pytest.raises(InputError, match=r"stages\.1\.layers\.0: grouped_bottleneck .* multiple"):
        scale_network(network, 4, BLOCKS)
    found = scale_network(network, 4, BLOCKS, multiple=64)
    assert len(element_signatures(found, BLOCKS)) == len(found.layers)


def test_one_shot_aggregation_grows_in_depth_and_width() -> None:
    network = published("vovnet39")
    found = scale_network(network, 4, BLOCKS, alpha=0.8)
    assert len(found.layers) >= len(network.layers)
    assert [signature.channels for _, signature in element_signatures(found, BLOCKS)][-1] > [
        signature.channels for _, signature in element_signatures(network, BLOCKS)
    ][-1]
