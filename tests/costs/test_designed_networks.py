"""The networks of a calibration: the same ones every time, of all kinds of operators, and not large."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn

from nas.costs.measuring.designed_networks import FAMILIES, MOST_WEIGHTS, designed_networks
from nas.costs.measuring.dice import Dice
from nas.costs.measuring.network_parts import Attending, Beside, Inverted, PictureAttending, shuffled
from nas.costs.trace import trace

SOME = designed_networks(2 * len(FAMILIES))


def traced(network):
    return trace(network.make(), network.shapes[0][1:])


@pytest.mark.parametrize("network", SOME, ids=lambda network: network.name)
def test_each_network_runs_on_its_input(network):
    found = traced(network)
    assert 0 < found.macs < 3e9 and found.params < 3e7
    assert not found.unknown_operators
    assert [batch for batch, *_ in network.shapes] == [1]


def test_they_are_the_same_every_time():
    again = designed_networks(len(FAMILIES))
    assert [(one.name, one.shapes) for one in again] == [(one.name, one.shapes) for one in SOME[: len(again)]]
    assert [traced(one).operators for one in again[:4]] == [traced(one).operators for one in SOME[:4]]


def test_the_batch_is_in_front():
    assert {network.shapes[0][0] for network in designed_networks(5, batch=8)} == {8}


def test_the_first_of_them_have_every_kind_of_operators():
    """However little time there is, most of a network is of kinds that were measured."""
    kinds = Counter(operator.kind for network in SOME for operator in traced(network).operators)
    named = {operator.name for network in SOME for operator in traced(network).operators}
    assert {"conv", "conv_depthwise", "conv_grouped", "gemm", "bmm", "sdpa", "rnn"} <= set(kinds)
    assert {"norm", "pointwise", "reduce", "softmax", "pool", "copy", "resample"} <= set(kinds)
    assert {"batch_norm", "group_norm", "layer_norm", "gelu", "hardswish", "silu", "sigmoid"} <= named


def test_no_two_networks_are_alike():
    assert len({traced(network).macs for network in SOME}) == len(SOME)


def test_perceptrons_stay_small():
    weights = [
        sum(part.weight.numel() for part in network.make() if isinstance(part, nn.Linear))
        for network in designed_networks(8 * len(FAMILIES))
        if network.name.startswith("perceptron")
    ]
    assert len(weights) == 24 and max(weights) <= MOST_WEIGHTS


def test_dice_stay_within_their_limits():
    dice = Dice(0)
    sizes = [dice.size(3, 50) for _ in range(200)]
    assert 3 <= min(sizes) <= 5 and 35 <= max(sizes) <= 50
    assert {dice.channels(8, 32) % 8 for _ in range(50)} == {0}
    assert {dice.number(1, 3) for _ in range(50)} == {1, 2, 3}
    assert {dice.one(4, 9) for _ in range(50)} == {4, 9}


def test_widths_are_often_usual_ones():
    """Published networks have few primes: kernels of 7 or 11 blocks of channels take longer."""
    dice = Dice(0)
    widths = [dice.channels(8, 512) for _ in range(400)]
    assert {width % 8 for width in widths} == {0} and max(widths) <= 640
    usual = [width for width in widths if width in (8, 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192)]
    others = {56, 72, 88, 104, 112, 120, 136, 144, 152, 168, 176, 184} & set(widths)
    assert len(usual) > 0.4 * len(widths) and len(others) > 8


def test_networks_as_a_search_finds_them_are_of_many_kernels():
    """Hardly one of their convolutions is run twice."""
    many = [one for one in designed_networks(4 * len(FAMILIES)) if one.name.startswith("searched")]
    assert len(many) == 8
    for network in many:
        operators = [one for one in traced(network).operators if one.kind.startswith("conv")]
        different = {(one.dims, one.order) for one in operators}
        assert len(operators) >= 15 and len(different) > 0.7 * len(operators)


def test_attention_over_a_picture_is_that_over_its_positions():
    torch.manual_seed(0)
    part = PictureAttending(16, 4).double()
    x = torch.randn(2, 16, 3, 5, dtype=torch.float64)
    query, key, value = part.all_three(x).view(2, 3, 4, 4, 15).unbind(1)
    weights = (query.transpose(-1, -2) @ key / 2).softmax(-1)
    mixed = (value @ weights.transpose(-1, -2)).reshape(2, 16, 3, 5)
    assert torch.allclose(part(x), x + part.out(mixed), atol=1e-12)
    operators = trace(part.float(), (16, 3, 5)).operators
    assert [operator.order for operator in operators if operator.kind == "sdpa"] == ["transposed"]


def test_both_ways_to_attend_are_the_same():
    torch.manual_seed(0)
    fused, composed = Attending(32, 4).double(), Attending(32, 4, composed=True).double()
    composed.load_state_dict(fused.state_dict())
    x = torch.randn(2, 7, 32, dtype=torch.float64)
    assert torch.allclose(fused(x), composed(x), atol=1e-12)


def test_a_block_is_beside_its_input_where_it_can_be():
    x = torch.randn(1, 8, 6, 6)
    with torch.no_grad():
        for kept in (Inverted(8, 3, False, nn.ReLU), Inverted(8, 3, True, nn.ReLU, outer=8)):
            kept.project.weight.zero_(), kept.project.bias.zero_()
            assert torch.equal(kept(x), x)
        assert Inverted(8, 5, False, nn.ReLU, stride=2)(x).shape == (1, 8, 3, 3)
        assert Inverted(8, 5, False, nn.ReLU, outer=16)(x).shape == (1, 16, 6, 6)
        assert torch.equal(Beside(nn.Identity())(x), 2 * x)
        assert torch.equal(Beside(nn.Identity(), joined=True)(x), torch.cat((x, x), 1))


def test_shuffling_takes_turns_between_two_groups():
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffled(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]
