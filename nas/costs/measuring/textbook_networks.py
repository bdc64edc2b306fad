"""Networks of textbooks: convolutions with a perceptron behind them, branches, generators, texts."""

from __future__ import annotations

from itertools import pairwise
from operator import itemgetter

from torch import nn

from nas.costs.measuring.dice import CURVES, Dice, Drawn
from nas.costs.measuring.network_parts import (
    Activation,
    Apply,
    Attending,
    Beside,
    Branches,
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


def generator(dice: Dice) -> Drawn:
    """Transposed convolutions, or larger pictures convolved, that make a picture of a vector or a map."""
    width, activation = dice.channels(48, 256), dice.activation(CLASSIC)
    layers, shape = _first_map(dice, width)
    for _ in range(dice.number(2, 3)):
        outer = max(8, dice.channels(width // 3, width // 1.5))
        layers += [activation(), *_larger(dice, width, outer)]
        width = outer
    return nn.Sequential(*layers, activation(), _picture(dice, width), dice.activation(CURVES)()), shape


def _larger(dice: Dice, width: int, outer: int) -> list[nn.Module]:
    """What doubles the side of a map."""
    if dice.happens(0.4):
        mode = ("nearest", "bilinear")[dice.number(0, 1)]
        return [nn.Upsample(None, 2.0, mode), nn.Conv2d(width, outer, 3, 1, 1)]
    kernel = dice.one(2, 3, 4, 4, 5, 6)
    larger = nn.ConvTranspose2d(width, outer, kernel, 2, (kernel - 1) // 2, kernel % 2)
    return [larger, nn.ReLU(), nn.Conv2d(outer, outer, 3, 1, 1)] if dice.happens(0.3) else [larger]


def _picture(dice: Dice, width: int) -> nn.Module:
    """What makes the picture of the last map: as large, twice or three times."""
    channels = dice.one(1, 3)
    lasts = (
        nn.Conv2d(width, channels, 5, 1, 2),
        nn.ConvTranspose2d(width, channels, 4, 2, 1),
        nn.ConvTranspose2d(width, channels, 9, 3, 3),
    )
    return lasts[dice.number(0, 2)]


def _first_map(dice: Dice, width: int) -> tuple[list[nn.Module], tuple[int, ...]]:
    """What makes the first map, and the shape of what it is made of."""
    inner, side, kind = dice.channels(32, 128), dice.one(4, 7, 8), dice.number(0, 2)
    if kind == 0:
        return [nn.ConvTranspose2d(inner, width, side)], (inner, 1, 1)
    if kind == 1:
        return [nn.Linear(inner, width * side**2), nn.Unflatten(1, (width, side, side))], (inner,)
    inner = dice.one(1, 3, inner)
    return [nn.Conv2d(inner, width, 3, 1, 1)], (inner, 2 * side, 2 * side)


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
