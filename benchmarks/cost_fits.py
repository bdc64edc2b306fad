"""Fits the constants of matrix products on GPUs to measured kernels, with devices left out where asked.

`class_fits` fits those of all other kernels to networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from scipy.optimize import minimize

from nas_hardware.gpu_products import ProductConstants, Products, products_ms
from nas_hardware.vector_products import VectorConstants, vector_products_ms
from nas_hardware.winograd import convolutions_ms
from nas_hardware.work import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas_hardware.gpu_speed import GpuSpeed

    Column = NDArray[np.float64]

Constants = TypeVar("Constants", bound=ProductConstants)

DRAWING = 0.01
"""How much the constants of products are drawn to where their fit begins."""


@dataclass(frozen=True)
class Kernels:
    """Measured products of one device: what they are, what they took in milliseconds, and the device.

    `overhead` is what the host takes to dispatch each, None where only the launch of the device comes on top;
    `hidden` that it does so while the device computes (`launched_ms`). `tiles` are those of convolutions on
    vector units (`nas_hardware.winograd`), None of other products.
    """

    device: str
    products: Products
    milliseconds: Column
    speed: GpuSpeed
    overhead: float | None = None
    hidden: bool = True
    tiles: tuple[Column, Column] | None = None


@dataclass(frozen=True)
class Networks:
    """Measured networks on one device: the work of all their operators, the network each belongs to and how
    often it runs, the milliseconds, the family and the batch size of each network, and whether its images lie
    with the channels innermost."""

    work: Work
    network: NDArray[np.int64]
    count: Column
    milliseconds: Column
    families: Sequence[str]
    batches: Column
    innermost: NDArray[np.bool_]


def fit_products(
    kernels: Sequence[Kernels],
    start: Constants,
    names: Sequence[str] = (),
    sample: int = 800,
    evaluations: int = 800,
) -> Constants:
    """The constants of products, or those of these names, with the least mean error of the logarithm, equally
    over devices."""
    drawn = [_sampled(device, sample) for device in kernels]
    names = names or [field.name for field in fields(start)]
    origin = np.log([getattr(start, name) for name in names])

    def loss(point: Column) -> float:
        constants = replace(start, **dict(zip(names, np.exp(point).tolist(), strict=True)))
        errors = [np.abs(log_errors(device, constants)).mean() for device in drawn]
        return float(np.mean(errors) + DRAWING * ((point - origin) ** 2).sum())

    found = minimize(
        loss, origin, method="Powell", options={"maxfev": evaluations, "xtol": 1e-2, "ftol": 1e-3}
    )
    return replace(start, **dict(zip(names, np.exp(found.x).round(4).tolist(), strict=True)))


def log_errors(kernels: Kernels, constants: ProductConstants) -> Column:
    """The logarithm of predicted over measured for each product."""
    if kernels.tiles is not None and isinstance(constants, VectorConstants):
        predicted = convolutions_ms(kernels.products, kernels.tiles, kernels.speed, constants)
    elif isinstance(constants, VectorConstants):
        predicted = vector_products_ms(kernels.products, kernels.speed, constants)
    else:
        predicted = products_ms(kernels.products, kernels.speed, constants)
    launched = launched_ms(predicted, kernels.speed.launch, kernels.overhead, kernels.hidden)
    found: Column = np.log(launched / kernels.milliseconds)
    return found


def launched_ms(predicted: Column, launch: float, overhead: float | None, hidden: bool = True) -> Column:
    """What a measurement finds for kernels: with their launch, and with a host that dispatches meanwhile,
    which shows most where both take about as long."""
    if overhead is None:
        return predicted + launch
    found: Column = np.hypot(predicted + launch, overhead) if hidden else predicted + overhead
    return found


def without_families(
    networks: Networks, predict: Callable[[NDArray[np.bool_]], Column], folds: int = 5
) -> Column:
    """The prediction of each network by a fit that has seen no network of its family."""
    families = sorted(set(networks.families))
    np.random.default_rng(0).shuffle(families)
    fold = {family: index % folds for index, family in enumerate(families)}
    held = np.array([fold[family] for family in networks.families])
    found = np.zeros(len(held))
    for index in range(folds):
        found[held == index] = predict(held != index)[held == index]
    return found


def every_other(kernels: Kernels, begin: int) -> Kernels:
    """Every other kernel of a device, from the first or the second on."""
    return _chosen(kernels, np.arange(begin, len(kernels.milliseconds), 2))


def _sampled(kernels: Kernels, size: int) -> Kernels:
    """Some of the kernels of a device, always the same."""
    return _chosen(kernels, np.random.default_rng(0).permutation(len(kernels.milliseconds))[:size])


def _chosen(kernels: Kernels, order: NDArray[np.int64]) -> Kernels:
    products = kernels.products.chosen(order)
    tiles = None if kernels.tiles is None else (kernels.tiles[0][order], kernels.tiles[1][order])
    return replace(kernels, products=products, milliseconds=kernels.milliseconds[order], tiles=tiles)
