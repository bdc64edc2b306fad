"""Networks as a search finds them, every block of another kind: much code, none of it run twice in a row."""

from __future__ import annotations

from torch import nn

from nas.costs.measuring.dice import GATES, Dice, Drawn
from nas.costs.measuring.network_parts import (
    Activation,
    Beside,
    ChannelNorm,
    Inverted,
    PictureAttending,
)

MOST_SIDE = 16
"""Positions attend to each other in pictures of at most so many rows."""


def searched(dice: Dice) -> Drawn:
    """Random blocks in stages that halve the picture, and the shape of the input."""
    size, width = dice.one(128, 160, 192, 224, 224), dice.channels(8, 24)
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1), dice.activation()()]
    side = size // 2
    for _ in range(dice.number(3, 5)):
        outer, side = dice.channels(width, 1.8 * width), -(-side // 2)
        for number in range(dice.number(2, 4)):
            layers.append(_block(dice, width, outer, 1 if number else 2, side))
            width = outer
    layers += [nn.Conv2d(width, dice.channels(2 * width, 5 * width), 1), dice.activation()()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), (3, size, size)


def _block(dice: Dice, width: int, outer: int, stride: int, side: int) -> nn.Module:
    """A block; `side` is that of its output."""
    activation = dice.activation()
    if stride == 1 and side <= MOST_SIDE and dice.happens(0.15):
        return PictureAttending(width, width // 8)
    kind = (_inverted, _inverted, _fused, _separable, _normed, _bottleneck)[dice.number(0, 5)]
    return kind(dice, width, outer, stride, activation)


def _inverted(dice: Dice, width: int, outer: int, stride: int, activation: Activation) -> nn.Module:
    kernel, times, excites = dice.one(3, 5, 7), dice.one(2, 3, 4, 6), dice.happens(0.4)
    gate = dice.activation(GATES)
    return Inverted(width, kernel, excites, activation, outer=outer, times=times, stride=stride, gate=gate)


def _fused(dice: Dice, width: int, outer: int, stride: int, activation: Activation) -> nn.Module:
    """An ordinary convolution that expands, and a projection."""
    kernel, wide = dice.one(3, 3, 5), dice.one(1, 2, 4) * width
    layers = (nn.Conv2d(width, wide, kernel, stride, kernel // 2), activation(), nn.Conv2d(wide, outer, 1))
    return Beside(*layers) if stride == 1 and width == outer else nn.Sequential(*layers)


def _separable(dice: Dice, width: int, outer: int, stride: int, activation: Activation) -> nn.Module:
    kernel = dice.one(3, 5, 7)
    each = nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width)
    return nn.Sequential(each, activation(), nn.Conv2d(width, outer, 1), activation())


def _normed(dice: Dice, width: int, outer: int, stride: int, activation: Activation) -> nn.Module:
    """A norm of groups, or of channels, which lie innermost from then on."""
    kernel, groups = dice.one(3, 5, 7), dice.one(1, width, width)
    kernel = kernel if groups > 1 else min(kernel, 5)
    first = nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=groups)
    wide = dice.one(2, 4) * width
    norm = nn.GroupNorm(dice.one(1, 8), width) if dice.happens(0.3) else ChannelNorm(width)
    layers = (first, norm, nn.Conv2d(width, wide, 1), activation(), nn.Conv2d(wide, outer, 1))
    return Beside(*layers) if stride == 1 and width == outer else nn.Sequential(*layers)


def _bottleneck(dice: Dice, width: int, outer: int, stride: int, activation: Activation) -> nn.Module:
    """A pooled or grouped middle between two pointwise convolutions."""
    inner = max(8, width // 16 * 8)
    groups = dice.one(*(number for number in (1, 2, 4) if inner % number == 0))
    pooled = dice.happens(0.3)
    middle = nn.AvgPool2d(3, stride, 1) if pooled else nn.Conv2d(inner, inner, 3, stride, 1, groups=groups)
    layers = (nn.Conv2d(width, inner, 1), activation(), middle, nn.Conv2d(inner, outer, 1), activation())
    return Beside(*layers) if stride == 1 and width == outer else nn.Sequential(*layers)
