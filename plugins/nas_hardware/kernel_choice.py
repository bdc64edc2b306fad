"""Which algorithm computes a convolution fastest on a CPU, and what workspace it needs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from nas.costs.operators import Operator
from nas.costs.speed import Speed, speed_of
from nas.costs.target import Target
from nas_hardware.assumptions import COMPUTE_UTILISATION, OTHER_MEMORY_UTILISATION
from nas_hardware.conv_algorithms import (
    ALGORITHMS,
    Algorithm,
    ConvShape,
    Stage,
    algorithms,
    shape_of,
)


@dataclass(frozen=True)
class Rates:
    """How fast each unit computes, as a share of what large matrix products reach.

    The defaults were measured on one thread of an AMD EPYC (AVX2) with PyTorch 2.13 in fp32, best of several,
    64 channels, 28 to 112 pixels: dense convolutions of 3 to 17 pixels 0.92 to 1.67, grouped ones 0.77 to
    1.35, depthwise ones up to 13 pixels 0.25 to 1.17 (median 0.7). From 14 pixels on depthwise convolutions
    leave their vectorised kernels: 0.03. Transforms there and back: 0.05 to 0.26 (median 0.1). Elementwise
    products of what lies in the cache: 0.33 to 0.39.
    """

    dense: float = 1.0
    grouped: float = 0.9
    depthwise: float = 0.7
    large_depthwise: float = 0.03
    large_kernel: int = 14
    fft: float = 0.1
    vector: float = 0.35

    def share(self, unit: str, shape: ConvShape) -> float:
        """The share that a unit reaches on a convolution; products of few channels are loops."""
        if unit == "fft":
            return self.fft
        if unit == "vector":
            return self.vector
        if shape.groups == 1:
            return self.dense if unit == "direct" else 1.0
        if shape.groups < shape.inputs:
            return self.grouped
        is_large = unit == "direct" and max(shape.kernel) >= self.large_kernel
        return self.large_depthwise if is_large else self.depthwise


@dataclass(frozen=True)
class KernelChoice:
    """The fastest algorithm of a convolution on a target, its time and workspace, and all that were tried."""

    algorithm: str
    time_ms: float
    workspace_bytes: int
    tried: tuple[tuple[str, float, int], ...]


def kernel_choice(
    operator: Operator,
    target: Target,
    *,
    among: Collection[str] = tuple(ALGORITHMS),
    rates: Rates | None = None,
) -> KernelChoice | None:
    """The fastest algorithm of those that a library has; None where the operator is no convolution of images.

    Libraries work on one sample after the other: the workspace is that of one. A workspace that fits into the
    cache of the target costs no memory traffic.
    """
    shape = shape_of(operator)
    return None if shape is None else choose(shape, target, among=among, rates=rates)


def choose(
    shape: ConvShape,
    target: Target,
    *,
    among: Collection[str] = tuple(ALGORITHMS),
    rates: Rates | None = None,
) -> KernelChoice:
    """`kernel_choice` for a shape; at equal times the smaller workspace wins."""
    speed, cache = speed_of(target), cache_bytes(target)
    one = replace(shape, batch=1)
    tried = tuple(
        (
            item.name,
            shape.batch * algorithm_ms(item, one, speed, cache, rates or Rates()),
            item.workspace_bytes,
        )
        for item in algorithms(one)
        if item.name in among
    )
    name, time_ms, workspace = min(tried, key=lambda each: each[1:])
    return KernelChoice(name, time_ms, workspace, tried)


def algorithm_ms(
    algorithm: Algorithm, shape: ConvShape, speed: Speed, cache: float = 0.0, rates: Rates | None = None
) -> float:
    """The time of the passes of an algorithm, each bound by its arithmetic or by its traffic."""
    in_cache = algorithm.workspace_bytes <= cache

    def stage_ms(stage: Stage) -> float:
        share = COMPUTE_UTILISATION["gemm"] * (rates or Rates()).share(stage.unit, shape)
        moved = stage.bytes_moved - (stage.scratch_bytes if in_cache else 0.0)
        return max(stage.flops / (speed.vector * share), moved / (speed.bandwidth * OTHER_MEMORY_UTILISATION))

    return sum(stage_ms(stage) for stage in algorithm.stages)


def fft_crossover(
    channels: int, side: int, target: Target, *, rates: Rates | None = None, largest: int = 127
) -> int | None:
    """The least odd kernel at which a depthwise convolution is faster by transforms; None up to `largest`.

    The map of `channels` times `side` squared keeps its size: padding is half of the kernel.
    """
    for kernel in range(3, largest + 1, 2):
        size = (side + kernel - 1, side + kernel - 1)
        shape = ConvShape(1, channels, channels, size, (kernel, kernel), groups=channels)
        if choose(shape, target, among=("direct", "fft"), rates=rates).algorithm == "fft":
            return kernel
    return None


def cache_bytes(target: Target) -> float:
    """The cache of a target in bytes; 0 where no figure says."""
    figure = target.device.figures.get("cache_mb")
    return figure.value * 1e6 if figure is not None else 0.0
