"""The random choices that a designed network is made by."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from torch import nn

from nas.costs.measuring.network_parts import Activation

Drawn: TypeAlias = tuple[nn.Module, tuple[int, ...]]
"""A network, and the shape of its input without the batch."""
ACTIVATIONS: tuple[Activation, ...] = (nn.ReLU, nn.Hardswish, nn.SiLU, nn.GELU, nn.ReLU6)
GATES: tuple[Activation, ...] = (nn.Sigmoid, nn.Hardsigmoid)
CURVES: tuple[Activation, ...] = (*GATES, nn.Tanh)
USUAL_SHARE = 0.6
"""Such a share of widths is usual: a power of two, three or five times as much."""


class Dice:
    """The random choices of one network."""

    def __init__(self, number: int) -> None:
        self._rng = np.random.default_rng(number)

    def size(self, low: float, high: float) -> int:
        """A size between two, on a logarithmic scale."""
        return round(float(np.exp(self._rng.uniform(np.log(low), np.log(high)))))

    def channels(self, low: float, high: float) -> int:
        """A size as a multiple of 8, often the nearest usual one."""
        size = self.size(low, high)
        if self.happens(USUAL_SHARE):
            return min(_usual_widths(2 * size), key=lambda width: abs(width - size))
        return max(8, 8 * round(size / 8))

    def number(self, low: int, high: int) -> int:
        """A whole number from one up to another."""
        return int(self._rng.integers(low, high + 1))

    def happens(self, probability: float) -> bool:
        """Whether something happens."""
        return bool(self._rng.random() < probability)

    def one(self, *options: int) -> int:
        """One of several numbers."""
        return int(self._rng.choice(options))

    def activation(self, options: tuple[Activation, ...] = ACTIVATIONS) -> Activation:
        """One of several activations."""
        return options[self.number(0, len(options) - 1)]


def _usual_widths(most: int) -> list[int]:
    """Multiples of 8 that published networks have: units of 1, 3 or 5 times a power of two."""
    powers = [8 << shift for shift in range(max(1, most.bit_length() - 3))]
    return [odd * power for power in powers for odd in (1, 3, 5)]
