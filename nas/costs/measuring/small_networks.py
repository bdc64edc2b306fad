"""Networks for small processors: few channels of small pictures, or of how loud each pitch is over time."""

from __future__ import annotations

from torch import nn

from nas.costs.measuring.dice import GATES, Dice, Drawn
from nas.costs.measuring.network_parts import Activation, Inverted


def little(dice: Dice) -> Drawn:
    """A few blocks of one kind over a small map, which need not be square; norms are those of training."""
    side = dice.one(24, 28, 32, 32, 48)
    rows, columns = (side, side) if dice.happens(0.5) else (dice.size(20, 110), dice.one(10, 13, 20, 40, 64))
    inner, width, activation = dice.one(1, 1, 3), dice.channels(12, 96), dice.activation((nn.ReLU, nn.ReLU6))
    activation = dice.activation() if dice.happens(0.3) else activation
    kernel, has_norms, kind = (dice.one(3, 3, 5, 10), dice.one(3, 3, 4)), dice.happens(0.5), dice.number(0, 2)
    reach = kernel[0] // 2, kernel[1] // 2
    first = nn.Conv2d(inner, width, kernel, dice.one(1, 2, 2), reach)
    layers = [first, *_normed(width, has_norms), activation()]
    for number in range(dice.number(2, 6)):
        outer, stride = dice.channels(0.8 * width, 1.6 * width), 2 if number % 2 else 1
        layers += (_separable, _ordinary, _inverted)[kind](
            dice, width, outer, stride if kind else dice.one(1, 1, stride), has_norms, activation
        )
        width = outer
    head = nn.Linear(width, dice.size(2, 50))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head), (inner, rows, columns)


def _normed(width: int, has_norms: bool) -> list[nn.Module]:
    return [nn.BatchNorm2d(width)] if has_norms else []


def _separable(
    dice: Dice, width: int, outer: int, stride: int, has_norms: bool, activation: Activation
) -> list[nn.Module]:
    """Each channel by itself, then all of them together."""
    kernel = dice.one(3, 3, 5)
    each = nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width)
    layers = [each, *_normed(width, has_norms), activation(), nn.Conv2d(width, outer, 1)]
    return [*layers, *_normed(outer, has_norms), activation()]


def _ordinary(
    dice: Dice, width: int, outer: int, stride: int, has_norms: bool, activation: Activation
) -> list[nn.Module]:
    kernel = dice.one(3, 3, 5)
    layers = [nn.Conv2d(width, outer, kernel, 1, kernel // 2), *_normed(outer, has_norms), activation()]
    return [*layers, nn.MaxPool2d(2, 2, 1)] if stride == 2 else layers


def _inverted(
    dice: Dice, width: int, outer: int, stride: int, has_norms: bool, activation: Activation
) -> list[nn.Module]:
    sizes = {"outer": outer, "times": dice.one(1, 2, 4), "stride": stride}
    gate = dice.activation(GATES)
    block = Inverted(width, dice.one(3, 3, 5), dice.happens(0.6), activation, gate=gate, **sizes)
    return [block, *_normed(outer, has_norms), activation()]
