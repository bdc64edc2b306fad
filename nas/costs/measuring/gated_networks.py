"""Networks that multiply what is as large: gates, crossed features; and those of points."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.costs.measuring.dice import GATES, Dice, Drawn
from nas.costs.measuring.network_parts import Activation, Apply, Beside, largest, mean_token

FARTHEST = 8
"""A dilation is doubled so often before it begins anew."""


class Gated(nn.Module):
    """What one part makes of the input, times what a gate does."""

    def __init__(self, value: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.value, self.gate = value, gate

    def forward(self, x: Tensor) -> Tensor:
        """The product of both."""
        found: Tensor = self.value(x) * self.gate(x)
        return found


class Crossed(nn.Module):
    """Layers whose outputs are multiplied by the first input, and added to their own."""

    def __init__(self, width: int, number: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(number)])

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width), as it came."""
        first = x
        for layer in self.layers:
            x = first * layer(x) + x
        return x


def gated_signals(dice: Dice) -> Drawn:
    """Dilated convolutions that only look back, gated, beside their input."""
    inner, width, length = dice.one(1, 8, dice.size(2, 64)), dice.channels(16, 72), dice.size(150, 4000)
    kernel, is_halved, gate = dice.one(2, 2, 3), dice.happens(0.3), dice.activation(GATES)
    layers: list[nn.Module] = [nn.Conv1d(inner, width, 1)]
    for number in range(dice.number(3, 9)):
        dilation = 1 << number % FARTHEST
        if is_halved:
            mixed: nn.Module = nn.Sequential(_back(width, 2 * width, kernel, dilation), nn.GLU(1))
        else:
            value, other = (_back(width, width, kernel, dilation) for _ in range(2))
            mixed = Gated(nn.Sequential(value, nn.Tanh()), nn.Sequential(other, gate()))
        layers.append(Beside(mixed, nn.Conv1d(width, width, 1)))
    return nn.Sequential(*layers, nn.ReLU(), nn.Conv1d(width, dice.channels(16, 128), 1)), (inner, length)


def _back(inner: int, outer: int, kernel: int, dilation: int) -> nn.Module:
    """A convolution of what came before."""
    before = nn.ConstantPad1d(((kernel - 1) * dilation, 0), 0.0)
    return nn.Sequential(before, nn.Conv1d(inner, outer, kernel, dilation=dilation))


def gated_pictures(dice: Dice) -> Drawn:
    """Convolutions with a gate for every number, every pixel or every channel."""
    side, width, activation = dice.one(32, 48, 64, 96, 128), dice.channels(12, 48), dice.activation()
    layers: list[nn.Module] = [nn.Conv2d(3, width, 3, dice.one(1, 2), 1), activation()]
    for _ in range(dice.number(2, 4)):
        outer, stride = dice.channels(width, 1.7 * width), dice.one(1, 2)
        layers += [_gated(dice, width, outer, stride, activation), activation()]
        width = outer
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1)), (3, side, side)


def _gated(dice: Dice, width: int, outer: int, stride: int, activation: Activation) -> nn.Module:
    gate, kind, kernel = dice.activation(GATES), dice.number(0, 2), dice.one(3, 3, 5)
    value = nn.Conv2d(width, outer, kernel, stride, kernel // 2)
    if kind == 0:
        other = nn.Conv2d(width, outer, kernel, stride, kernel // 2)
        return Gated(nn.Sequential(value, activation()), nn.Sequential(other, gate()))
    each = (
        nn.Sequential(nn.Conv2d(outer, 1, 7, 1, 3), gate())
        if kind == 1
        else nn.Sequential(nn.Conv2d(outer, outer, 3, 1, 1, groups=outer), gate())
    )
    return nn.Sequential(value, activation(), Gated(nn.Identity(), each))


def gated_perceptron(dice: Dice) -> Drawn:
    """Layers of tokens, or of one vector, whose inner numbers are gated, or crossed with the input."""
    width, number = dice.channels(32, 320), dice.number(2, 4)
    if dice.happens(0.4):
        width = dice.channels(128, 1024)
        layers: list[nn.Module] = [Crossed(width, number), nn.Linear(width, dice.size(1, 100))]
        return nn.Sequential(*layers), (width,)
    length, times, activation = dice.size(8, 200), dice.one(2, 3, 4), dice.activation((nn.SiLU, nn.GELU))
    layers = []
    for _ in range(number):
        value, gate = nn.Linear(width, times * width), nn.Linear(width, times * width)
        inner = Gated(nn.Sequential(gate, activation()), value)
        layers.append(Beside(nn.LayerNorm(width), inner, nn.Linear(times * width, width)))
    return nn.Sequential(*layers, Apply(mean_token)), (length, width)


def points(dice: Dice) -> Drawn:
    """Each of many points by itself, then the largest of what was found for all, beside each once more."""
    number, width, activation = dice.size(100, 2000), dice.channels(24, 96), dice.activation()
    inner, has_norms, is_told = dice.one(2, 3, 3, 6), dice.happens(0.5), dice.happens(0.6)
    layers: list[nn.Module] = []
    for outer in (width, dice.channels(width, 3 * width), dice.channels(64, 512)):
        layers += [nn.Conv1d(inner, outer, 1), *([nn.BatchNorm1d(outer)] if has_norms else []), activation()]
        inner = outer
    if is_told:
        layers += [Apply(largest if dice.happens(0.6) else _most), nn.Linear(inner, dice.channels(64, 320))]
    else:
        layers += [Apply(_beside_largest), nn.Conv1d(2 * inner, dice.channels(24, 96), 1), activation()]
    first = next(layer for layer in layers if isinstance(layer, nn.Conv1d))
    return nn.Sequential(*layers), (first.in_channels, number)


def _most(x: Tensor) -> Tensor:
    """(batch, channels, points) to (batch, channels), by an operator that does not say where."""
    return x.amax(-1)


def _beside_largest(x: Tensor) -> Tensor:
    """(batch, channels, points) to (batch, twice the channels, points)."""
    return torch.cat((x, largest(x).unsqueeze(-1).expand_as(x)), 1)
