"""Networks of textbooks: convolutions with a perceptron behind them, branches, texts, late stages."""

from __future__ import annotations

from itertools import pairwise
from operator import itemgetter

from torch import nn

from nas.costs.measuring.dice import GATES, Dice, Drawn
from nas.costs.measuring.network_parts import (
    Activation,
    Apply,
    Attending,
    Beside,
    Branches,
    Inverted,
    mean_token,
    swapped,
)

MOST_FEATURES = 8192
"""At most so many numbers of a picture go into a perceptron."""
MOST_CHANNELS = 512
"""Channels are doubled up to so many."""
CLASSIC: tuple[Activation, ...] = (nn.ReLU, nn.ReLU, nn.LeakyReLU, nn.Tanh)


def classic(dice: Dice) -> Drawn:
    """Convolutions of any kernel, with or without padding, and a perceptron behind them."""
    side, inner, activation = dice.one(28, 32, 48, 64, 96, 128), dice.one(1, 3), dice.activation(CLASSIC)
    shape, width = (inner, side, side), inner
    layers: list[nn.Module] = []
    for number in range(dice.number(2, 5)):
        if side > 4:
            outer = dice.size(6, 40) if dice.happens(0.3) else dice.channels(16 << min(number, 2), 192)
            added, side = _shrinking(dice, width, outer, side, activation)
            layers, width = layers + added, outer
    if width * side**2 > MOST_FEATURES:
        side = dice.one(1, 3, 4)
        layers.append(nn.AdaptiveAvgPool2d(side))
    widths = [width * side**2, *(dice.channels(64, 768) for _ in range(dice.number(0, 2))), dice.size(5, 500)]
    layers.append(nn.Flatten())
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers[:-1]), shape


def _shrinking(
    dice: Dice, width: int, outer: int, side: int, activation: Activation
) -> tuple[list[nn.Module], int]:
    """A convolution, perhaps pooled, and the side of what it makes of a picture."""
    kernel = dice.one(3, 3, 4, 5, 7, 11) if side > 40 else dice.one(3, 3, 4, 5)
    stride = dice.one(2, 4) if kernel > 5 else dice.one(1, 1, 1, 2)
    padding = kernel // 2 if dice.happens(0.7) else 0
    layers: list[nn.Module] = [nn.Conv2d(width, outer, kernel, stride, padding), activation()]
    side = (side + 2 * padding - kernel) // stride + 1
    if side < 8 or dice.happens(0.4):
        return layers, side
    return [*layers, (nn.MaxPool2d, nn.AvgPool2d)[dice.number(0, 1)](2)], side // 2


def tapering(dice: Dice) -> Drawn:
    """Ordinary convolutions that double the channels whenever they halve the picture, down to a few pixels:
    most of the weights meet few positions."""
    side, width, activation = dice.one(32, 32, 48, 64), dice.channels(24, 96), dice.activation(CLASSIC)
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1), activation()]
    shape = (3, side, side)
    while side > dice.one(2, 3, 4):
        outer, pools = min(dice.channels(1.4 * width, 2.2 * width), MOST_CHANNELS), dice.happens(0.5)
        layers += [nn.MaxPool2d(2)] if pools else []
        layers += [nn.Conv2d(width, outer, 3, 1 if pools else 2, 1), activation()]
        width, side = outer, side // 2
        for _ in range(dice.number(0, 2)):
            layers += [nn.Conv2d(width, width, 3, 1, 1), activation()]
    head = nn.Linear(width, dice.size(5, 200))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head), shape


def full_size(dice: Dice) -> Drawn:
    """Pictures as published networks take them, whose first maps fill the caches: convolutions of every kind
    with many channels."""
    side, activation = dice.one(160, 192, 224, 256), dice.activation()
    width = dice.channels(24, min(64, 10240 // side))
    kernel, stride = dice.one(3, 7, 9), dice.one(1, 2, 2)
    layers: list[nn.Module] = [nn.Conv2d(3, width, kernel, stride, kernel // 2), activation()]
    for number in range(dice.number(2, 4)):
        outer, step = dice.channels(1.3 * width, 2.2 * width), 2 if number or stride == 1 else 1
        layers += [*_strided(dice, width, outer, step), activation()]
        width = outer
        if dice.happens(0.5):
            layers += [Beside(*_strided(dice, width, width, 1)), activation()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), (3, side, side)


def _strided(dice: Dice, width: int, outer: int, stride: int) -> list[nn.Module]:
    """Separable, grouped or ordinary convolutions, of which one has a stride."""
    kind, kernel = dice.number(0, 2), dice.one(3, 3, 5)
    if kind == 0:
        each = nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width)
        return [each, nn.Conv2d(width, outer, 1)]
    if kind == 1:
        inner = 32 * max(1, outer // 48)
        grouped = nn.Conv2d(inner, inner, 3, stride, 1, groups=dice.one(2, 8, 32))
        return [nn.Conv2d(width, inner, 1), nn.ReLU(), grouped, nn.ReLU(), nn.Conv2d(inner, outer, 1)]
    return [nn.Conv2d(width, outer, 3, stride, 1)]


def late(dice: Dice) -> Drawn:
    """The last stage of a large network: many channels of a few pixels."""
    side, activation = dice.one(4, 6, 7, 8, 12, 14), dice.activation()
    width = dice.channels(128, min(1024, 8192 // side))
    blocks = (_bottleneck, _separable, _ordinary, _inverted)
    layers: list[nn.Module] = []
    for _ in range(dice.number(1, 4)):
        layers += [blocks[dice.number(0, 3)](dice, width, activation), activation()]
    head = nn.Linear(width, dice.size(10, 1000))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head), (width, side, side)


def _bottleneck(dice: Dice, width: int, activation: Activation) -> nn.Module:
    inner = 32 * max(1, width // dice.one(64, 128))
    middle = nn.Conv2d(inner, inner, 3, 1, 1, groups=dice.one(1, 8, 32))
    ends = nn.Conv2d(width, inner, 1), nn.Conv2d(inner, width, 1)
    return Beside(ends[0], activation(), middle, activation(), ends[1])


def _separable(dice: Dice, width: int, activation: Activation) -> nn.Module:
    kernel, layers = dice.one(3, 3, 5, 7), list[nn.Module]()
    for _ in range(2):
        each = nn.Conv2d(width, width, kernel, 1, kernel // 2, groups=width)
        layers += [activation(), each, nn.Conv2d(width, width, 1)]
    return Beside(*layers)


def _ordinary(dice: Dice, width: int, activation: Activation) -> nn.Module:
    inner = min(dice.channels(width / 2, width), MOST_CHANNELS)
    return Beside(
        nn.Conv2d(width, inner, 3, 1, 1),
        activation(),
        nn.Conv2d(inner, width, dice.one(1, 3), padding="same"),
    )


def _inverted(dice: Dice, width: int, activation: Activation) -> nn.Module:
    times, excite = max(1, min(dice.one(2, 4, 6), 2048 // width)), dice.happens(0.5)
    return Inverted(width, dice.one(3, 5), excite, activation, times=times, gate=dice.activation(GATES))


def branched(dice: Dice) -> Drawn:
    """Convolutions of several kernels beside each other, which are joined."""
    side, width, activation = dice.one(64, 96, 112, 128, 160), dice.channels(16, 64), dice.activation()
    kernel = dice.one(3, 3, 7)
    stem = nn.Conv2d(3, width, kernel, 2, kernel // 2)
    layers: list[nn.Module] = [stem, activation(), nn.MaxPool2d(3, 2, 1)]
    for _ in range(dice.number(2, 4)):
        branches = [_branch(dice, width, activation) for _ in range(dice.number(2, 4))]
        layers += [Branches(*(module for module, _ in branches)), activation()]
        width = sum(outer for _, outer in branches)
        if dice.happens(0.4):
            layers.append(nn.MaxPool2d(dice.one(2, 3), 2, 0))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), (3, side, side)


def _branch(dice: Dice, width: int, activation: Activation) -> tuple[nn.Module, int]:
    """One branch, and the channels that it gives."""
    outer, inner = dice.channels(16, 96), dice.channels(8, 64)
    kind = dice.one(0, 1, 2, 3, 4, 4)
    if kind == 0:
        return nn.Conv2d(width, outer, 1), outer
    if kind == 1:
        return nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(width, outer, 1)), outer
    begin = (nn.Conv2d(width, inner, 1), activation())
    if kind == 2:
        rows = nn.Conv2d(inner, inner, (1, 7), padding=(0, 3))
        return nn.Sequential(*begin, rows, nn.Conv2d(inner, outer, (7, 1), padding=(3, 0))), outer
    if kind == 3:
        reach = dice.one(2, 3, 6, 12)
        return nn.Conv2d(width, outer, 3, 1, reach, reach), outer
    kernel = dice.one(3, 3, 5)
    return nn.Sequential(*begin, nn.Conv2d(inner, outer, kernel, 1, kernel // 2)), outer


def text(dice: Dice) -> Drawn:
    """An embedding, and what reads it: a recurrent layer, attention or convolutions."""
    words, width, length = dice.one(1000, 5000, 20000), 32 * dice.number(1, 8), dice.size(12, 128)
    reader, outer = (_convolving, _attending, _remembering, _remembering)[dice.number(0, 3)](dice, width)
    head = nn.Linear(outer, dice.size(2, 40))
    return nn.Sequential(nn.Embedding(words, width), reader, Apply(mean_token), head), (length,)


def _convolving(dice: Dice, width: int) -> tuple[nn.Module, int]:
    outer, kernel = dice.channels(32, 192), dice.one(3, 5)
    turned = nn.Conv1d(width, outer, kernel, 1, kernel // 2)
    return nn.Sequential(Apply(swapped), turned, nn.ReLU(), Apply(swapped)), outer


def _attending(dice: Dice, width: int) -> tuple[nn.Module, int]:
    return nn.Sequential(*(Attending(width, width // 32) for _ in range(dice.number(1, 2)))), width


def _remembering(dice: Dice, width: int) -> tuple[nn.Module, int]:
    hidden, both = dice.channels(40, 256), dice.happens(0.6)
    layer = (nn.LSTM, nn.GRU)[dice.number(0, 1)](width, hidden, batch_first=True, bidirectional=both)
    return nn.Sequential(layer, Apply(itemgetter(0))), (1 + both) * hidden
