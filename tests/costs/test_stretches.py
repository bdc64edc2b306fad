"""Stretches of the networks of a space: distinct, deployed, of the shapes that networks have there."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from nas.costs import estimate_architecture
from nas.costs.measuring.stretches import LAYERS, stretches
from nas.costs.trace import trace
from nas.errors import CostError
from nas.plugins import default_registry
from nas.spaces import Space, load_space

REGISTRY = default_registry()


def some(name: str, number: int, batch: int = 1):
    return list(islice(stretches(load_space(name, REGISTRY), REGISTRY, batch), number))


@pytest.mark.parametrize("name", ["tiny", "mobile", "cell"])
def test_they_run_on_their_inputs(name):
    for stretch in some(name, 3, batch=2):
        (shape,) = stretch.shapes
        assert shape[0] == 2
        with torch.inference_mode():
            found = stretch.make()(torch.randn(shape))
        assert torch.isfinite(found).all()


def test_the_first_begins_with_a_network_and_the_next_goes_on():
    space = load_space("mobile", REGISTRY)
    first, second = some("mobile", 2)
    assert first.shapes[0][1:] == space.input.shape
    with torch.inference_mode():
        assert first.make()(torch.randn(first.shapes[0])).shape == second.shapes[0]


def test_they_are_the_same_every_time_and_each_is_another():
    names = [(stretch.name, stretch.shapes) for stretch in some("mobile", 12)]
    assert names == [(stretch.name, stretch.shapes) for stretch in some("mobile", 12)]
    traces = {trace(stretch.make(), stretch.shapes[0][1:]).operators for stretch in some("mobile", 12)}
    assert len(traces) == 12


def test_they_execute_what_the_deployed_network_executes():
    space = load_space("mobile", REGISTRY)
    architecture = space.decode(space.sample_vectors(16, np.random.default_rng(0))[0])
    whole = estimate_architecture(architecture, "this-cpu", REGISTRY).operators
    (first,) = some("mobile", 1)
    module = first.make()
    found = trace(module, space.input.shape).operators
    assert [operator.name for operator in found] == [operator.name for operator in whole[: len(found)]]
    assert not any(part.training for part in module.modules())


def test_a_space_of_one_network_has_its_stretches_and_no_more():
    space = load_space("published/mobilenet_v1", REGISTRY)
    layers = len(space.decode(next(iter(space.enumerate()))).network.layers)
    assert len(list(stretches(space, REGISTRY))) <= -(-layers // LAYERS)


def test_a_flat_space_has_no_networks():
    with pytest.raises(CostError, match="network"):
        next(stretches(Space.flat({"depth": [1, 2]}), REGISTRY))
