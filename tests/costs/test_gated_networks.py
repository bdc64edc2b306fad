"""Designed networks that multiply what is as large, those of points, and those for small processors."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.costs.measuring.designed_networks import FAMILIES
from nas.costs.measuring.dice import Dice
from nas.costs.measuring.gated_networks import (
    FARTHEST,
    Crossed,
    Gated,
    gated_perceptron,
    gated_pictures,
    gated_signals,
    points,
)
from nas.costs.measuring.network_parts import largest
from nas.costs.measuring.small_networks import little
from nas.costs.trace import trace

NEW = (gated_perceptron, gated_pictures, gated_signals, little, points)
SEEDS = range(16)


def operators(family, seed):
    with torch.device("meta"):
        network, shape = family(Dice(seed))
    return trace(network.to_empty(device="cpu"), shape).operators


@pytest.mark.parametrize("family", NEW, ids=lambda family: family.__name__)
def test_a_family_is_measured_and_has_many_networks(family):
    assert family in FAMILIES
    found = [operators(family, seed) for seed in SEEDS]
    assert all(1e4 < sum(one.macs for one in each) < 1e9 for each in found)
    assert len({sum(one.macs for one in each) for each in found}) == len(SEEDS)
    assert all(one.known for each in found for one in each)


@pytest.mark.parametrize("family", [gated_perceptron, gated_pictures, gated_signals])
def test_products_are_of_what_is_as_large(family):
    """The gates of channels, of which other families are full, go through memory in another way."""
    products = [one for seed in SEEDS for one in operators(family, seed) if one.name == "mul"]
    whole = [one for one in products if one.order == "alike" and one.bytes_read == 2 * one.bytes_written]
    assert len(whole) >= len(SEEDS)


def test_signals_look_far_back_and_keep_their_length():
    for seed in SEEDS:
        network, (inner, length) = gated_signals(Dice(seed))
        assert network(torch.randn(1, inner, length)).shape[-1] == length
    dilations = {one.dim("dilation_0") for seed in SEEDS for one in operators(gated_signals, seed)} - {None}
    assert dilations == {1 << number for number in range(FARTHEST)}


def test_signals_only_look_back():
    network, (inner, length) = gated_signals(Dice(1))
    x = torch.randn(1, inner, length)
    changed = x.clone()
    changed[..., -1] += 1
    with torch.no_grad():
        before, after = network(x), network(changed)
    assert torch.equal(before[..., :-1], after[..., :-1])
    assert not torch.equal(before[..., -1], after[..., -1])


def test_a_gate_multiplies():
    x = torch.randn(2, 4, dtype=torch.float64)
    assert torch.equal(Gated(nn.Identity(), nn.Sigmoid())(x), x * x.sigmoid())


def test_crossed_layers_are_multiplied_by_the_first_input():
    torch.manual_seed(0)
    crossed, x = Crossed(4, 2).double(), torch.randn(2, 4, dtype=torch.float64)
    first, second = crossed.layers
    once = x * first(x) + x
    assert torch.allclose(crossed(x), x * second(once) + once, atol=1e-12)


def test_points_are_told_by_what_is_largest_whichever_their_order():
    told = 0
    for seed in SEEDS:
        network, (inner, number) = points(Dice(seed))
        x = torch.randn(1, inner, number)
        with torch.no_grad():
            found, turned = network.eval()(x), network(x.flip(-1))
        is_told = found.ndim == 2
        told += is_told
        assert torch.allclose(found, turned if is_told else turned.flip(-1), atol=1e-4)
    assert 0 < told < len(SEEDS)
    assert largest(torch.tensor([[[1.0, 3.0], [5.0, 4.0]]])).tolist() == [[3.0, 5.0]]
    names = {one.name for seed in SEEDS for one in operators(points, seed)}
    assert {"max", "amax", "cat"} <= names


def test_little_networks_are_little_and_not_all_square():
    shapes = [little(Dice(seed))[1] for seed in SEEDS]
    assert any(rows != columns for _, rows, columns in shapes)
    assert any(rows == columns for _, rows, columns in shapes)
    moved = [sum(one.bytes_moved for one in operators(little, seed)) for seed in SEEDS]
    assert min(moved) < 2e6 and sorted(moved)[len(moved) // 2] < 1e7
    kinds = {one.kind for seed in SEEDS for one in operators(little, seed)}
    assert {"conv", "conv_depthwise", "norm", "pool"} <= kinds
