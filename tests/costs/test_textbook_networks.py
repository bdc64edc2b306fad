"""Designed networks of textbooks and of one dimension: what each family is there for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.costs.measuring.dice import Dice
from nas.costs.measuring.network_parts import Branches
from nas.costs.measuring.picture_networks import encoder_and_decoder, generator, repainted
from nas.costs.measuring.sequence_networks import channelwise, farther, recurrent, shorter, signals, waveform
from nas.costs.measuring.textbook_networks import (
    MOST_CHANNELS,
    MOST_FEATURES,
    branched,
    classic,
    full_size,
    late,
    tapering,
    text,
)
from nas.costs.trace import trace

FAMILIES = (
    branched,
    channelwise,
    classic,
    encoder_and_decoder,
    farther,
    full_size,
    generator,
    late,
    recurrent,
    repainted,
    shorter,
    signals,
    tapering,
    text,
    waveform,
)
SEEDS = range(12)


def operators(family, seed):
    with torch.device("meta"):
        network, shape = family(Dice(seed))
    return trace(network.to_empty(device="cpu"), shape).operators


def of(family, kind):
    return [one for seed in SEEDS for one in operators(family, seed) if one.kind == kind]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_a_family_has_many_networks_of_which_each_can_be_traced(family):
    found = [operators(family, seed) for seed in SEEDS]
    assert all(sum(one.macs for one in each) > 1e4 for each in found)
    assert len({sum(one.macs for one in each) for each in found}) == len(SEEDS)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_the_same_dice_give_the_same_network(family):
    assert operators(family, 3) == operators(family, 3)


def test_a_perceptron_stands_behind_classic_convolutions():
    for seed in SEEDS:
        first, *_, last = operators(classic, seed)
        assert (first.kind, last.kind) == ("conv", "gemm")
    assert max(one.dim("inner") for one in of(classic, "gemm")) <= MOST_FEATURES


def test_tapering_networks_end_in_a_few_pixels_with_most_channels():
    convolutions = of(tapering, "conv")
    assert min(one.dim("out_0") for one in convolutions) <= 3
    assert max(one.dim("out_channels") for one in convolutions) == MOST_CHANNELS


def test_branches_look_far_or_along_one_axis():
    convolutions = of(branched, "conv")
    assert max(one.dim("dilation_0") for one in convolutions) >= 6
    assert any(one.dim("kernel_0") != one.dim("kernel_1") for one in convolutions)


def test_a_generator_makes_pictures_larger_by_either_way():
    assert {one.name for one in of(generator, "resample")} >= {"upsample_nearest2d", "upsample_bilinear2d"}
    transposed = [one for one in of(generator, "conv") if one.dim("transposed")]
    assert {one.dim("kernel_0") for one in transposed} >= {4, 9}


def test_full_size_networks_fill_the_caches():
    moved = [sum(one.bytes_moved for one in operators(full_size, seed)) for seed in SEEDS]
    assert sorted(moved)[len(moved) // 2] > 50e6
    assert {one.kind for seed in SEEDS for one in operators(full_size, seed)} >= {
        "conv",
        "conv_depthwise",
        "conv_grouped",
    }


def test_sequences_have_long_and_dilated_kernels_of_one_dimension():
    assert max(one.dim("dilation_0") for one in of(farther, "conv")) == 16
    assert max(one.dim("kernel_0") for one in of(waveform, "conv")) >= 80
    assert max(one.dim("kernel_0") for one in of(channelwise, "conv_depthwise")) >= 15
    assert all(one.dim("out_1") is None for one in of(shorter, "conv"))


def test_signals_have_long_kernels_that_lie_or_stand():
    kernels = {(one.dim("kernel_0"), one.dim("kernel_1")) for one in of(signals, "conv")}
    assert max(columns for rows, columns in kernels if rows == 1) >= 32
    assert max(rows for rows, columns in kernels if columns == 1) >= 32
    assert of(signals, "conv_depthwise")


def test_late_stages_have_many_channels_of_few_pixels():
    kinds = ("conv", "conv_grouped", "conv_depthwise")
    for one in (one for kind in kinds for one in of(late, kind)):
        assert one.dim("out_0") <= 14
    assert max(one.dim("in_channels") for one in of(late, "conv_depthwise")) >= 512
    assert {one.dim("groups") for one in of(late, "conv_grouped")} >= {8, 32}


def test_a_picture_is_repainted_as_large_as_it_was():
    for seed in SEEDS:
        with torch.device("meta"):
            network, shape = repainted(Dice(seed))
            assert network(torch.empty(1, *shape)).shape == (1, *shape)
    names = {one.name for seed in SEEDS for one in operators(repainted, seed)}
    assert names >= {"reflection_pad2d", "instance_norm"}


def test_recurrent_networks_have_both_kinds_in_one_direction_and_both():
    found = {(one.name, one.dim("matrices") > 2) for one in of(recurrent, "rnn")}
    assert {name for name, _ in found} == {"lstm", "gru"} and {both for _, both in found} == {False, True}


def test_texts_are_read_in_three_ways():
    kinds = {one.kind for seed in SEEDS for one in operators(text, seed)}
    assert kinds >= {"gather", "conv", "sdpa", "rnn", "gemm"}


def test_branches_are_joined_in_turn():
    x = torch.randn(2, 3, 4, 4)
    doubled = nn.Upsample(None, 1.0)
    assert torch.equal(Branches(nn.Identity(), doubled)(x), torch.cat([x, x], 1))
