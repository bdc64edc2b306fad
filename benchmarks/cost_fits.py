"""Fits the constants of the GPU kernels to measurements: the products to single kernels, the factors to
networks.

Each fit can leave devices or families out, so that what it is judged by it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize, nnls

from nas_hardware.gpu_kernels import GpuConstants, model_ms
from nas_hardware.gpu_products import ProductConstants, Products, products_ms
from nas_hardware.work import CLASSES, Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas_hardware.gpu_speed import GpuSpeed

    Column = NDArray[np.float64]

PRIOR = {
    "cast": 0.15,
    "norm": 1.5,
    "group_norm": 0.5,
    "depthwise_7": 0.6,
    "depthwise_large": 1.5,
    "pointwise": 1.2,
}
"""Where the factors of networks are drawn to where networks say little; 1 for all others."""
MEASURED = frozenset({"gemm", "bmm"})
"""Classes whose kernels were measured by themselves: their factors are drawn to the prior so much more."""
MEASURED_PULL = 4.0
PULL = 0.08
"""How strongly: the weight of the prior of a class against its share of the time of all networks."""
FLOOR = 0.25
"""The least factor of a class."""


@dataclass(frozen=True)
class Kernels:
    """Measured products of one device: what they are, what they took in milliseconds, and the device.

    `overhead` is what the measurement adds to each; None stands for the launch of the device.
    """

    device: str
    products: Products
    milliseconds: Column
    speed: GpuSpeed
    overhead: float | None = None


@dataclass(frozen=True)
class Networks:
    """Measured networks on one device: the work of all their operators, the network each belongs to and how
    often it runs, the milliseconds, the family and the batch size of each network."""

    work: Work
    network: NDArray[np.int64]
    count: Column
    milliseconds: Column
    families: Sequence[str]
    batches: Column


def fit_products(
    kernels: Sequence[Kernels], start: ProductConstants, sample: int = 800, evaluations: int = 500
) -> ProductConstants:
    """The constants of products with the least mean error of the logarithm, equally over devices."""
    drawn = [_sampled(device, sample) for device in kernels]
    names = [field.name for field in fields(ProductConstants)]
    origin = np.log([getattr(start, name) for name in names])

    def loss(point: Column) -> float:
        constants = ProductConstants(**dict(zip(names, np.exp(point).tolist(), strict=True)))
        errors = [np.abs(log_errors(device, constants)).mean() for device in drawn]
        return float(np.mean(errors) + 0.002 * ((point - origin) ** 2).sum())

    found = minimize(
        loss, origin, method="Powell", options={"maxfev": evaluations, "xtol": 1e-2, "ftol": 1e-3}
    )
    return ProductConstants(**dict(zip(names, np.exp(found.x).round(4).tolist(), strict=True)))


def log_errors(kernels: Kernels, constants: ProductConstants) -> Column:
    """The logarithm of predicted over measured for each product."""
    launch = kernels.speed.launch if kernels.overhead is None else kernels.overhead
    predicted = products_ms(kernels.products, kernels.speed, constants) + launch
    found: Column = np.log(predicted / kernels.milliseconds)
    return found


def fit_factors(
    networks: Networks, speed: GpuSpeed, constants: GpuConstants, chosen: NDArray[np.bool_]
) -> Column:
    """A factor for each class, of shape (CLASSES,): robust non-negative least squares of relative errors,
    drawn to PRIOR."""
    table = class_table(networks, speed, constants)
    prior = np.array([PRIOR.get(name, 1.0) for name in CLASSES])
    relative = table[chosen] / networks.milliseconds[chosen, None]
    share = table.sum(axis=0) / table.sum()
    pull = PULL * np.sqrt(chosen.sum() * share)
    pull *= [MEASURED_PULL if name in MEASURED else 1.0 for name in CLASSES]
    rows = np.vstack([relative, np.diag(pull)])
    aims = np.concatenate([np.ones(chosen.sum()), pull * prior])
    weights = np.ones(len(aims))
    for _ in range(8):
        found, _ = nnls(rows * weights[:, None], aims * weights)
        errors = np.abs(rows @ found - aims)
        weights = np.where(
            np.arange(len(aims)) < chosen.sum(), 1 / np.sqrt(np.maximum(errors, 0.03)), 10**0.5
        )
    factors: Column = np.where(share > 0, np.maximum(found, FLOOR), prior)
    return factors


def class_table(networks: Networks, speed: GpuSpeed, constants: GpuConstants) -> Column:
    """The milliseconds that each network spends on each class by the model, of shape (networks, CLASSES)."""
    plain = replace(constants, factor=np.ones(len(CLASSES)))
    times = (model_ms(networks.work, speed, plain) + speed.launch) * networks.count
    table = np.zeros((len(networks.milliseconds), len(CLASSES)))
    np.add.at(table, (networks.network, networks.work.classes), times)
    return table


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


def _sampled(kernels: Kernels, size: int) -> Kernels:
    """Some of the kernels of a device, always the same."""
    count = len(kernels.milliseconds)
    order = np.random.default_rng(0).permutation(count)[:size]
    products = Products(*(getattr(kernels.products, field.name)[order] for field in fields(Products)))
    return replace(kernels, products=products, milliseconds=kernels.milliseconds[order])
