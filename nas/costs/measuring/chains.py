"""Chains of operators as they follow each other in networks: what kernels measured alone do not show.

One behind the other, kernels share caches and memory, and a host has more time to disturb them. Half of the
chains are whole small networks: the layers of a few blocks, measured over and over, are quicker than within a
network.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from nas.costs.measuring.kernels import MicroKernel
from nas.costs.measuring.network_parts import Attending, Inverted

CHAINS = 12
STAGES = ((16, 1), (24, 2), (40, 2), (80, 3), (160, 2))
"""Channels and blocks of the stages of a small network."""
SIZES = (96, 128, 160, 192, 224, 224)
"""Height and width of the pictures of these networks."""


def chains(batch: int = 1) -> Iterator[MicroKernel]:
    """The chains of a calibration, for a batch size: CHAINS of them, the same ones every time."""
    others = (
        _convolutions(batch, 24, 64),
        _attending(batch, 96, 3, 196),
        _perceptron(batch, 256, 64),
        _convolutions(batch, 96, 16),
        _attending(batch, 192, 6, 64),
        _perceptron(batch, 128, 144),
    )
    for number, (size, other) in enumerate(zip(SIZES, others, strict=True)):
        yield _network(batch, size, number)
        yield other


def _network(batch: int, size: int, number: int) -> MicroKernel:
    """A stem and stages of inverted residuals, each at half the height and width of the one before."""
    activation = (nn.ReLU, nn.Hardswish, nn.SiLU)[number % 3]

    def make() -> nn.Module:
        width = STAGES[0][0]
        parts: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1), activation()]
        for stage, (wide, blocks) in enumerate(STAGES):
            if stage:
                parts += [nn.Conv2d(width, width, 3, 2, 1, groups=width), nn.Conv2d(width, wide, 1)]
            kernels = (3, 5, 7) if number % 2 else (3, 3, 5)
            parts += [Inverted(wide, kernels[block], number > 2, activation) for block in range(blocks)]
            width = wide
        return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1000))

    return MicroKernel(
        f"inverted residuals with {activation.__name__}, {size}x{size}", make, ((batch, 3, size, size),)
    )


def _convolutions(batch: int, width: int, size: int) -> MicroKernel:
    def make() -> nn.Module:
        first = [nn.Conv2d(3, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1), nn.ReLU()]
        second = [nn.MaxPool2d(3, 2, 1), nn.Conv2d(width, 2 * width, 3, 1, 1), nn.ReLU()]
        return nn.Sequential(*first, *second, nn.Conv2d(2 * width, width, 1), nn.AdaptiveAvgPool2d(1))

    return MicroKernel(f"convolutions, {width} wide, {size}x{size}", make, ((batch, 3, 2 * size, 2 * size),))


def _attending(batch: int, width: int, heads: int, length: int) -> MicroKernel:
    return MicroKernel(
        f"attention, {width} wide, {length} long",
        lambda: nn.Sequential(*(Attending(width, heads) for _ in range(3))),
        ((batch, length, width),),
    )


def _perceptron(batch: int, width: int, rows: int) -> MicroKernel:
    def make() -> nn.Module:
        pairs = (part for _ in range(6) for part in (nn.Linear(width, width), nn.GELU()))
        return nn.Sequential(*pairs)

    shape = (batch, width) if rows == 1 else (batch, rows, width)
    return MicroKernel(f"perceptron, {width} wide, {rows} rows", make, (shape,))
