"""Measured bf16 products on three GPUs, with what of each lies in the cache while it is measured.

Their libraries are measured in a loop over six layers (github.com/ai-dynamo/aiconfigurator, ``collector/*/
collect_gemm.py``, the releases of 2026), in a CUDA graph: six weights go by before one comes again, and six
inputs too where each layer has its own. What comes again before as much as the cache holds went by lies there
still; on a chip with a large cache most products of a network's size do. The loop runs a few dozen products:
short ones are over before the power limit is felt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from cost_data import rows
from cost_fits import Kernels

from nas.costs import resolve_target
from nas_hardware.gpu_products import Products
from nas_hardware.gpu_speed import gpu_speed

GEMM_TARGETS = {"a100_sxm": "a100-sxm4-80gb", "h100_sxm": "h100-sxm", "l40s": "l40s"}
LAYERS = 6
"""So many layers are measured one after the other."""
OWN_INPUTS = frozenset({"sglang"})
"""Libraries whose layers are each given an input of its own."""
KEPT, LOST = 0.9, 1.25
"""How much may go by, as a share of the cache, before what lies there begins to be lost, and until nothing of
it is left: rounded by hand on the L40S, whose bandwidth falls between these."""


def gemms(folder: Path) -> Iterator[Kernels]:
    """bf16 products on three GPUs: the median over libraries for each shape."""
    measured: dict[str, dict[tuple[int, ...], list[tuple[float, bool]]]] = {name: {} for name in GEMM_TARGETS}
    for row in rows(folder / "gpu_kernels" / "gemm_a100_h100_l40s.csv.gz"):
        shape = tuple(int(row[name]) for name in "mnk")
        if row["gemm_dtype"] == "bfloat16" and min(shape) > 0:
            one = float(row["latency"]), row["backend"] in OWN_INPUTS
            measured[row["system"]].setdefault(shape, []).append(one)
    for system, target in GEMM_TARGETS.items():
        m, n, k = np.array(list(measured[system]), dtype=float).T
        latency = np.array([np.median([one[0] for one in found]) for found in measured[system].values()])
        own = np.array([np.mean([one[1] for one in found]) for found in measured[system].values()])
        speed = replace(gpu_speed(resolve_target(target, precision="bf16")), burst=1.0)
        parts = 2 * m * k, 2 * n * k, 2 * m * n
        moved = sum(parts)
        possible = latency >= moved * (moved > 2 * speed.cache) / (1.5 * speed.bandwidth)
        kept = (latency > 1.5e-3) & possible
        columns = np.ones(len(m)), m, n, k, moved, _resident(*parts, own, speed.cache)
        products = Products(*(column[kept] for column in columns))
        yield Kernels(system, products, latency[kept], speed)


def _resident(
    read: np.ndarray, weights: np.ndarray, written: np.ndarray, own: np.ndarray, cache: float
) -> np.ndarray:
    """The bytes of each product that lie in the cache, by what goes by before they are used again; `own` is
    the share of libraries whose inputs go by too. Results take each other's place."""
    one = read + weights + written
    all_layers = one + (LAYERS - 1) * (weights + own * read)
    over_layers, over_one = _kept(all_layers / cache), _kept(one / cache)
    return own * read * over_layers + (1 - own) * read * over_one + weights * over_layers + written * over_one


def _kept(passed: np.ndarray) -> np.ndarray:
    """The share that the cache keeps while so many times its size goes by."""
    return np.clip((LOST - passed) / (LOST - KEPT), 0, 1)
