"""Networks that make pictures: of vectors, of maps, of other pictures."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from nas.costs.measuring.dice import CURVES, Dice, Drawn
from nas.costs.measuring.network_parts import Activation, Beside, UNet

PAINTING: tuple[Activation, ...] = (nn.ReLU, nn.ReLU, nn.LeakyReLU, nn.Tanh)


def generator(dice: Dice) -> Drawn:
    """Transposed convolutions, or larger pictures convolved, that make a picture of a vector or a map."""
    width, activation = dice.channels(48, 256), dice.activation(PAINTING)
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


def encoder_and_decoder(dice: Dice) -> Drawn:
    """Pictures made smaller and larger again, at several scales beside each other or at one."""
    width = dice.channels(8, 48)
    size = 8 * dice.number(4, min(16, 512 // width))
    if dice.happens(0.6):
        mode = ("nearest", "bilinear")[dice.number(0, 1)]
        network: nn.Module = UNet(width, mode, dice.activation(), dice.happens(0.5))
    else:
        network = _smaller_and_larger(dice, (3, width, 2 * width, 4 * width, 8 * width)[: dice.number(3, 5)])
    return nn.Sequential(network, dice.activation(CURVES)()), (3, size, size)


def _smaller_and_larger(dice: Dice, widths: tuple[int, ...]) -> nn.Module:
    kernel = dice.one(2, 4)
    layers: list[nn.Module] = []
    for inner, outer in pairwise(widths):
        layers += [nn.Conv2d(inner, outer, 3, 2, 1), dice.activation()()]
    for inner, outer in pairwise(reversed(widths)):
        layers += [nn.ConvTranspose2d(inner, outer, kernel, 2, kernel // 2 - 1), dice.activation()()]
    return nn.Sequential(*layers[:-1])


def repainted(dice: Dice) -> Drawn:
    """A picture made of a picture: wide kernels and norms of each map, most at half or a quarter of the
    size."""
    side, width = dice.one(64, 96, 128, 160), dice.channels(8, 24)
    activation = dice.activation((nn.ReLU, nn.PReLU))
    kernel, times = dice.one(3, 5, 7, 9), dice.number(0, 2)
    layers: list[nn.Module] = _padded(3, width, kernel, 1, dice.happens(0.5), activation)
    for _ in range(times):
        layers += _padded(width, 2 * width, 3, 2, dice.happens(0.5), activation)
        width *= 2
    for _ in range(dice.number(1, 3)):
        block = _padded(width, width, 3, 1, dice.happens(0.5), activation)
        layers.append(Beside(*block, nn.Conv2d(width, width, 3, 1, 1)))
    for _ in range(times):
        layers += [*_larger(dice, width, width // 2), activation()]
        width //= 2
    return nn.Sequential(*layers, nn.Conv2d(width, 3, kernel, 1, kernel // 2)), (3, side, side)


def _padded(
    inner: int, outer: int, kernel: int, stride: int, reflects: bool, activation: Activation
) -> list[nn.Module]:
    """A convolution of a mirrored border or of one of zeros, a norm of each map, an activation."""
    reach = kernel // 2
    border: list[nn.Module] = [nn.ReflectionPad2d(reach)] if reflects else []
    convolution = nn.Conv2d(inner, outer, kernel, stride, 0 if reflects else reach)
    return [*border, convolution, nn.InstanceNorm2d(outer, affine=True), activation()]
