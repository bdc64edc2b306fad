"""The networks whose operators a calibration measures: small random ones of many families.

What an operator takes depends on what ran before it: which caches hold its input, whether its code was just
used. So it is measured where it belongs, and each network brings dozens of operators in the sizes that go
together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from typing import TypeAlias

import torch
from torch import nn

from nas.costs.measuring.dice import CURVES, GATES, Dice, Drawn
from nas.costs.measuring.gated_networks import gated_perceptron, gated_pictures, gated_signals, points
from nas.costs.measuring.kernels import MicroKernel
from nas.costs.measuring.network_parts import (
    Activation,
    Apply,
    Attending,
    Beside,
    ChannelNorm,
    Excitation,
    Inverted,
    PictureAttending,
    as_tokens,
    mean_token,
    shuffled,
)
from nas.costs.measuring.picture_networks import encoder_and_decoder, generator, repainted
from nas.costs.measuring.searched_networks import MOST_SIDE, searched
from nas.costs.measuring.sequence_networks import (
    channelwise,
    farther,
    recurrent,
    shorter,
    signals,
    waveform,
)
from nas.costs.measuring.small_networks import little
from nas.costs.measuring.textbook_networks import (
    branched,
    classic,
    full_size,
    late,
    tapering,
    text,
)

MOST_WEIGHTS = 16_000_000
"""A perceptron has at most so many weights."""

Family: TypeAlias = Callable[[Dice], Drawn]


def designed_networks(number: int, batch: int = 1) -> list[MicroKernel]:
    """So many networks for a batch size, their families in turn; the same ones every time."""
    return list(islice(_endless(batch), number))


def _endless(batch: int) -> Iterator[MicroKernel]:
    for number, family in enumerate(cycle(FAMILIES)):
        with torch.device("meta"):  # the shape alone: the module is made where it is measured
            shape = (batch, *family(Dice(number))[1])
        name = f"{family.__name__.strip('_')} {number}"
        yield MicroKernel(name, partial(_module, family, number), (shape,))


def _module(family: Family, number: int) -> nn.Module:
    return family(Dice(number))[0]


def _inverted_residuals(dice: Dice) -> Drawn:
    """Blocks that are alike in a stage, as in published networks."""
    size, width, activation = dice.one(96, 128, 160, 192, 224, 224), dice.channels(8, 32), dice.activation()
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1), activation()]
    for stage in range(5):
        kernel, times, excite = dice.one(3, 3, 5, 5, 7), dice.one(2, 3, 4, 6), dice.happens(0.4)
        outer, stride = dice.channels(width, 1.7 * width), 2 if stage or dice.happens(0.5) else 1
        gate = dice.activation(GATES)
        for block in range(dice.number(1, 3)):
            sizes = {"outer": outer, "times": times, "stride": 1 if block else stride}
            layers.append(Inverted(width, kernel, excite, activation, gate=gate, **sizes))
            width = outer
    layers += [
        nn.Conv2d(width, dice.channels(2 * width, 6 * width), 1),
        activation(),
        nn.AdaptiveAvgPool2d(1),
    ]
    return nn.Sequential(*layers), (3, size, size)


def _residuals(dice: Dice) -> Drawn:
    size, activation = dice.one(48, 64, 96, 128), dice.activation()
    width = dice.channels(12, min(64, 4096 // size))
    layers: list[nn.Module] = [_stem(dice, width), activation()]
    if dice.happens(0.5):
        layers.append(nn.MaxPool2d(3, 2, 1))
    style = dice.number(0, 4)
    for stage in range(3):
        outer = dice.channels(1.3 * width, 2.2 * width)
        layers += [nn.Conv2d(width, outer, 3, 2 if stage else 1, 1), activation()]
        width = outer
        for _ in range(dice.number(1, 2)):
            layers += [_residual(dice, width, style, activation), activation()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), (3, size, size)


def _stem(dice: Dice, width: int) -> nn.Module:
    kernel = dice.one(3, 3, 7)
    return nn.Conv2d(3, width, kernel, 2 if kernel == 7 else dice.one(1, 2), kernel // 2)


def _residual(dice: Dice, width: int, style: int, activation: Activation) -> nn.Module:
    if style == 0:
        return nn.Conv2d(width, width, 3, 1, 1)
    if style == 1:
        return Beside(nn.Conv2d(width, width, 3, 1, 1), activation(), nn.Conv2d(width, width, 3, 1, 1))
    if style == 2:
        return _along_axes(width, dice.one(1, 1, 2, 4), activation)
    inner = max(8, width // 16 * 8) if style == 3 else width
    groups, reach = 1 if style == 3 else dice.one(2, 4, 8, width // 8), dice.one(1, 1, 1, 2, 4)
    middle = nn.Conv2d(inner, inner, 3, 1, reach, reach, groups)
    first, last = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1)
    return Beside(first, activation(), middle, activation(), last)


def _along_axes(width: int, reach: int, activation: Activation) -> nn.Module:
    """Kernels of three rows, then of three columns, twice."""
    layers: list[nn.Module] = []
    for far in (1, reach):
        rows = nn.Conv2d(width, width, (3, 1), 1, (far, 0), (far, 1))
        layers += [rows, activation(), nn.Conv2d(width, width, (1, 3), 1, (0, far), (1, far)), activation()]
    return Beside(*layers[:-1])


def _light_convolutions(dice: Dice) -> Drawn:
    """Depthwise ones, shuffled groups, dense connections, norms of channels, pooling."""
    size, width, activation = dice.one(64, 96, 112, 128, 160), dice.channels(16, 64), dice.activation()
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1), activation()]
    for _ in range(dice.number(3, 6)):
        layers_of = (_separable, _shuffled, _dense, _normed, _pooled)[dice.number(0, 4)]
        added, width = layers_of(dice, width, activation)
        layers += added
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), (3, size, size)


Layers: TypeAlias = tuple[list[nn.Module], int]
"""Layers, and the channels that they give."""


def _separable(dice: Dice, width: int, activation: Activation) -> Layers:
    kernel, outer = dice.one(3, 5), dice.channels(width, 2 * width)
    each = nn.Conv2d(width, width, kernel, dice.one(1, 1, 2), kernel // 2, groups=width)
    between = [activation()] if dice.happens(0.5) else []
    return [each, *between, nn.Conv2d(width, outer, 1), activation()], outer


def _shuffled(dice: Dice, width: int, activation: Activation) -> Layers:
    groups = dice.one(1, 2, 4)
    each = nn.Conv2d(width, width, 3, dice.one(1, 1, 2), 1, groups=width)
    ends = [nn.Conv2d(width, width, 1, groups=groups) for _ in range(2)]
    return [ends[0], activation(), Apply(shuffled), each, ends[1]], width


def _dense(dice: Dice, width: int, activation: Activation) -> Layers:
    layers: list[nn.Module] = []
    for _ in range(2):
        growth = dice.channels(8, 32)
        inner = (nn.BatchNorm2d(width), activation(), nn.Conv2d(width, growth, 3, 1, 1))
        layers.append(Beside(*inner, joined=True))
        width += growth
    return layers, width


def _normed(dice: Dice, width: int, activation: Activation) -> Layers:
    """Ordinary convolutions of pictures whose channels lie innermost."""
    kernel, outer = dice.one(3, 3, 5), dice.channels(width, 1.5 * width)
    between = nn.Conv2d(width, outer, kernel, dice.one(1, 1, 2), kernel // 2)
    return [ChannelNorm(width), between, activation(), nn.Conv2d(outer, outer, 1), activation()], outer


def _pooled(dice: Dice, width: int, activation: Activation) -> Layers:
    pools = (nn.AvgPool2d(2), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 1, 1), nn.MaxPool2d(2))
    outer = dice.channels(0.5 * width, width)
    return [nn.Conv2d(width, outer, 1), activation(), pools[dice.number(0, 3)]], outer


def _modern_convolutions(dice: Dice) -> Drawn:
    """Large depthwise kernels, pooling or attention, norms of channels, layers of positions."""
    size, width, norm = 32 * dice.number(2, 7), dice.channels(16, 64), dice.number(0, 2)
    patch = dice.one(2, 4, 4) if size < 128 else 4
    layers: list[nn.Module] = [nn.Conv2d(3, width, patch, patch)]
    for stage in range(3):
        for _ in range(dice.number(1, 2)):
            layers += _modern_block(dice, width, norm)
        if size // patch >> stage <= MOST_SIDE and dice.happens(0.5):
            depth = dice.one(*(number for number in (8, 16, 32) if width % number == 0))
            layers.append(PictureAttending(width, width // depth))
        if stage < 2:
            outer = dice.channels(1.5 * width, 2 * width)
            layers.append(nn.Conv2d(width, outer, 2, 2))
            width = outer
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), (3, size, size)


def _modern_block(dice: Dice, width: int, norm: int) -> list[nn.Module]:
    kernel, activation = dice.one(3, 5, 7, 7, 9), dice.activation((nn.GELU, nn.Hardswish, nn.ReLU))

    def normed() -> nn.Module:
        return nn.GroupNorm(dice.one(1, 8), width) if norm == 0 else ChannelNorm(width)

    each = nn.Conv2d(width, width, kernel, 1, kernel // 2, groups=width)
    between = [nn.Conv2d(width, 4 * width, 1), activation(), nn.Conv2d(4 * width, width, 1)]
    if norm == 1:
        return [Beside(each, normed(), *between)]
    mixer = nn.AvgPool2d(kernel, 1, kernel // 2) if dice.happens(0.3) else each
    return [Beside(normed(), mixer), Beside(normed(), *between)]


def _transformer(dice: Dice) -> Drawn:
    width, patch, side = 32 * dice.one(2, 3, 4, 6, 8, 12), dice.one(8, 12, 16), dice.one(6, 8, 10, 14, 16)
    heads = max(1, width // dice.one(16, 32, 32, 64))
    layers: list[nn.Module] = [nn.Conv2d(3, width, patch, patch), Apply(as_tokens)]
    for _ in range(dice.number(1, 3)):
        activation = dice.activation((nn.GELU, nn.ReLU))
        layers.append(Attending(width, heads, dice.one(2, 4), activation, composed=dice.happens(0.3)))
    layers += [nn.LayerNorm(width), Apply(mean_token)]
    return nn.Sequential(*layers), (3, patch * side, patch * side)


def _mixer(dice: Dice) -> Drawn:
    width, patch, side = dice.channels(48, 320), dice.one(8, 16), dice.size(5, 20)
    layers: list[nn.Module] = [nn.Conv2d(3, width, patch, patch), Apply(as_tokens)]
    for _ in range(dice.number(2, 4)):
        inner, activation = dice.channels(width, 5 * width), dice.activation()
        between = (nn.Linear(width, inner), activation(), nn.Linear(inner, width))
        layers.append(Beside(nn.LayerNorm(width), *between))
    return nn.Sequential(*layers, Apply(mean_token)), (3, patch * side, patch * side)


def _perceptron(dice: Dice) -> Drawn:
    narrow, activation, left = dice.one(32, 64, 128, 256, 512), dice.activation(), MOST_WEIGHTS
    activation = dice.activation(CURVES) if dice.happens(0.2) else activation
    width, has_norms = dice.channels(narrow, 8 * narrow), dice.happens(0.25)
    first, layers = width, list[nn.Module]()
    for _ in range(dice.number(2, 9)):
        outer = dice.channels(narrow, 8 * narrow)
        left -= width * outer
        if left < 0 and layers:
            break
        between = [nn.BatchNorm1d(outer)] if has_norms else []
        layers += [nn.Linear(width, outer), *between, activation()]
        width = outer
    return nn.Sequential(*layers), (first,)


def _excited(dice: Dice) -> Drawn:
    """Ordinary convolutions whose channels are weighed."""
    width, size, activation = dice.channels(16, 48), dice.one(48, 64, 96), dice.activation()
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1), activation()]
    for _ in range(3):
        outer = dice.channels(width, 2 * width)
        layers += [nn.Conv2d(width, outer, dice.one(3, 5), dice.one(1, 2), 1), activation()]
        layers.append(Excitation(outer, max(8, outer // 4), dice.activation(GATES)))
        width = outer
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), (3, size, size)


FAMILIES: tuple[Family, ...] = (
    _inverted_residuals,
    _residuals,
    _transformer,
    searched,
    _perceptron,
    _modern_convolutions,
    _light_convolutions,
    encoder_and_decoder,
    classic,
    _perceptron,
    farther,
    recurrent,
    _mixer,
    _inverted_residuals,
    shorter,
    _residuals,
    searched,
    branched,
    _modern_convolutions,
    channelwise,
    text,
    tapering,
    _light_convolutions,
    generator,
    waveform,
    full_size,
    _perceptron,
    recurrent,
    _excited,
    late,
    signals,
    repainted,
    little,
    gated_signals,
    gated_pictures,
    points,
    little,
    gated_perceptron,
)
"""What the networks are, in turn; those on which most work is done more often."""
