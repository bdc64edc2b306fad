"""Random networks of a space: distinct, deployed, the same ones every time."""

from __future__ import annotations

import pickle
from itertools import islice

import numpy as np
import pytest
import torch

from nas.costs import estimate_architecture
from nas.costs.measuring.networks import sampled_networks
from nas.costs.trace import trace
from nas.errors import CostError
from nas.plugins import Registry, default_registry
from nas.spaces import Space, load_space

REGISTRY = default_registry()


def some(name: str, number: int, batch: int = 1):
    return list(islice(sampled_networks(load_space(name, REGISTRY), REGISTRY, batch), number))


@pytest.mark.parametrize("name", ["tiny", "cell"])
def test_they_run_on_their_inputs(name):
    space = load_space(name, REGISTRY)
    for network in some(name, 2, batch=2):
        assert network.shapes == ((2, *space.input.shape),)
        with torch.inference_mode():
            found = network.make()(torch.randn(network.shapes[0]))
        assert found.shape == (2, space.classes)
        assert torch.isfinite(found).all()


def test_they_are_the_same_every_time_and_each_is_another():
    def traces():
        return [trace(one.make(), one.shapes[0][1:]).operators for one in some("tiny", 6)]

    assert traces() == traces()
    assert len(set(traces())) == 6


def test_they_execute_what_the_deployed_network_executes():
    space = load_space("mobile", REGISTRY)
    architecture = space.decode(space.sample_vectors(16, np.random.default_rng(0))[0])
    whole = estimate_architecture(architecture, "this-cpu", REGISTRY).operators
    (first,) = some("mobile", 1)
    module = first.make()
    found = trace(module, space.input.shape).operators
    assert [operator.name for operator in found] == [operator.name for operator in whole]
    assert not any(part.training for part in module.modules())


def test_a_space_of_one_network_has_one():
    assert len(list(sampled_networks(load_space("published/resnet50", REGISTRY), REGISTRY))) == 1


def test_a_flat_space_has_none():
    with pytest.raises(CostError, match="network"):
        next(sampled_networks(Space.flat({"depth": [1, 2]}), REGISTRY))


def test_they_can_be_sent_to_another_process_where_all_know_their_blocks():
    registry = default_registry()
    (one,) = islice(sampled_networks(load_space("tiny", registry), registry), 1)
    again = pickle.loads(pickle.dumps(one))
    assert again.name == one.name
    assert trace(again.make(), one.shapes[0][1:]) == trace(one.make(), one.shapes[0][1:])


def test_blocks_of_another_registry_are_taken_from_there():
    other = Registry(REGISTRY.manager)
    (one,) = islice(sampled_networks(load_space("tiny", other), other), 1)
    assert one.make.args[1] is other
