"""Networks of sounds, signals and series, read by convolutions or step by step."""

from __future__ import annotations

from operator import itemgetter

from torch import nn

from nas.costs.measuring.dice import Dice, Drawn
from nas.costs.measuring.network_parts import Activation, Apply, Beside, largest, last_of

FARTHEST = 5
"""What a dilation doubles from layer to layer begins anew after so many."""


def farther(dice: Dice) -> Drawn:
    """Dilated convolutions, beside their input or one behind the other."""
    inner, width, length = dice.size(4, 64), dice.channels(16, 128), dice.size(64, 2000)
    kernel, is_beside, activation = dice.one(3, 3, 5), dice.happens(0.5), dice.activation()
    layers: list[nn.Module] = [nn.Conv1d(inner, width, dice.one(1, 3)), activation()]
    for number in range(dice.number(3, 6)):
        dilation, outer = 1 << number % FARTHEST, width if is_beside else dice.channels(16, 128)
        each = nn.Conv1d(width, outer, kernel, 1, dilation * (kernel // 2), dilation)
        between = (each, activation())
        layers += [Beside(*between, nn.Conv1d(width, width, 1))] if is_beside else between
        width = outer
    return _told(dice, layers, width), (inner, length)


def channelwise(dice: Dice) -> Drawn:
    """Each channel by itself, then all of them together."""
    inner, width, length = dice.size(10, 80), dice.channels(32, 192), dice.size(50, 500)
    activation = dice.activation()
    layers: list[nn.Module] = [nn.Conv1d(inner, width, 3, 1, 1), activation()]
    for number in range(dice.number(2, 5)):
        kernel, dilation = dice.one(3, 5, 9, 15, 31), dice.one(1, 1, 1 << number)
        padding, outer = dilation * (kernel // 2), dice.channels(32, 192)
        each = nn.Conv1d(width, width, kernel, dice.one(1, 1, 2), padding, dilation, groups=width)
        layers += [each, activation(), nn.Conv1d(width, outer, 1), activation()]
        width = outer
    return _told(dice, layers, width), (inner, length)


def waveform(dice: Dice) -> Drawn:
    """A long kernel over many samples of one channel, and shorter ones behind it."""
    kernel, length, width = dice.one(10, 16, 40, 80, 256, 512), dice.size(2000, 16000), dice.channels(16, 128)
    activation = dice.activation()
    layers: list[nn.Module] = [nn.Conv1d(1, width, kernel, dice.one(2, 4, 8)), activation(), nn.MaxPool1d(4)]
    return _told(dice, *_shortened(dice, layers, width, activation)), (1, length)


def shorter(dice: Dice) -> Drawn:
    """Convolutions that shorten the sequence, or pooling that does."""
    width, length, activation = dice.channels(8, 64), dice.size(64, 2000), dice.activation()
    return _told(dice, *_shortened(dice, [], width, activation)), (width, length)


def _shortened(
    dice: Dice, layers: list[nn.Module], width: int, activation: Activation
) -> tuple[list[nn.Module], int]:
    """More layers behind these, and the channels that they give."""
    for _ in range(dice.number(2, 4)):
        kernel, outer = dice.one(3, 3, 5, 7, 15, 39, 64), dice.channels(16, 160)
        layers = [*layers, nn.Conv1d(width, outer, kernel, dice.one(1, 1, 2), kernel // 2), activation()]
        layers += [nn.MaxPool1d(2)] if dice.happens(0.5) else []
        width = outer
    return layers, width


def _told(dice: Dice, layers: list[nn.Module], width: int) -> nn.Module:
    """The layers, and what tells classes by the means of their channels, or by what is largest."""
    head = nn.Linear(width, dice.size(2, 50))
    if dice.happens(0.3):
        return nn.Sequential(*layers, Apply(largest), head)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), head)


def signals(dice: Dice) -> Drawn:
    """Several signals as a picture of few rows: kernels along them, then across all of them."""
    rows, length, width = dice.one(1, 4, 8, 22, 64), dice.size(128, 1500), dice.channels(8, 32)
    kernel, activation, upright = dice.one(8, 16, 32, 64, 128), dice.activation(), dice.happens(0.3)
    outer = width * dice.one(1, 2)
    turn = _upright if upright else _level
    across = nn.Conv2d(width, outer, turn(rows, 1), groups=dice.one(1, width))
    layers: list[nn.Module] = [_along(1, width, kernel, upright), across, activation()]
    layers.append(nn.AvgPool2d(turn(1, dice.one(2, 4))))
    for _ in range(dice.number(1, 3)):
        width, kernel = dice.channels(16, 64), dice.one(4, 16, 32, 64)
        if dice.happens(0.5):
            layers += [_along(outer, outer, kernel, upright, outer), nn.Conv2d(outer, width, 1), activation()]
        else:
            layers += [_along(outer, width, kernel, upright), activation()]
        outer = width
    head = nn.Linear(outer, dice.size(2, 50))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head), (1, *turn(rows, length))


def _along(inner: int, outer: int, kernel: int, upright: bool, groups: int = 1) -> nn.Module:
    """A convolution along the signals."""
    turn = _upright if upright else _level
    return nn.Conv2d(inner, outer, turn(1, kernel), 1, turn(0, kernel // 2), groups=groups)


def _level(rows: int, columns: int) -> tuple[int, int]:
    return rows, columns


def _upright(rows: int, columns: int) -> tuple[int, int]:
    return columns, rows


def recurrent(dice: Dice) -> Drawn:
    """Recurrent layers of one kind, in one direction or both."""
    width, length = dice.channels(24, 256), dice.size(8, 160)
    kind, layers = (nn.LSTM, nn.GRU)[dice.number(0, 1)], list[nn.Module]()
    first = width
    for _ in range(dice.number(2, 3)):
        hidden, number, both = dice.channels(40, 288), dice.one(1, 1, 2), dice.happens(0.4)
        layer = kind(width, hidden, number, batch_first=True, bidirectional=both)
        layers += [layer, Apply(itemgetter(0))]
        width = (1 + both) * hidden
    return nn.Sequential(*layers, Apply(last_of), nn.Linear(width, dice.size(2, 64))), (length, first)
