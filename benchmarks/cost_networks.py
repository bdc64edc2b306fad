"""Measured networks and kernels as arrays, ready to be fitted and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from cost_data import family_of, networks, operator_lists, operators_of, rows
from cost_fits import Kernels, Networks

from nas.costs import Target, resolve_target
from nas_hardware.gpu_products import Products
from nas_hardware.gpu_speed import GpuSpeed, gpu_speed
from nas_hardware.work import CLASSES, COLUMNS, Work, work_of

OPERATORS = Path(__file__).parent / "data" / "timm_operators.npz"
NEUSIGHT_TARGETS = {
    "P4": ("p4", ("Tesla P4",)),
    "P100": ("p100-pcie-16gb", ("Tesla P100-PCIE-16GB",)),
    "V100": ("v100-pcie-32gb", ("Tesla V100-PCIE-32GB",)),
    "T4": ("t4", ("Tesla T4",)),
    "A100": ("a100-pcie-40gb", ("NVIDIA A100-PCIE-40GB", "NVIDIA A100 80GB PCIe")),
}
PRODUCT_KERNELS = ("linear", "bmm", "conv")
STREAM_KERNELS = dict.fromkeys(("add", "gelu", "relu"), "pointwise") | {"softmax": "softmax", "ln": "norm"}
SINGLE = 4
"""Bytes of a number in these kernels."""


def rtx3090() -> Target:
    """The target that the networks were measured on."""
    return resolve_target("rtx3090", precision="amp-fp16", runtime="eager")


@cache
def traced_operators() -> Mapping[str, tuple[Work, np.ndarray]]:
    """The operators of the networks that `trace_networks` traced, by key, each with how often it runs."""
    with np.load(OPERATORS) as content:
        if tuple(content["columns"]) != COLUMNS:
            raise SystemExit(f"{OPERATORS} has other columns: run trace_networks.py again")
        order = np.array([CLASSES.index(name) for name in content["classes"]])
        values = content["distinct"].T.astype(np.float64)[np.cumsum(content["steps"])]
        count, ends = content["count"].astype(np.int64), content["ends"]
        keys = content["keys"]
    found = {}
    for key, start, end in zip(keys, [0, *ends[:-1]], ends, strict=True):
        part = values[start:end]
        sizes = part[:, 1:]
        moved = sizes[:, COLUMNS.index("read")] + sizes[:, COLUMNS.index("written")]
        found[str(key)] = (Work(order[part[:, 0].astype(int)], sizes, moved), count[start:end])
    return found


def measured_networks(folder: Path, *layouts: str) -> tuple[Networks, int]:
    """The networks of the folder measured in some layouts, by default both, and how many of them stand on
    their operator list alone."""
    traced, lists = traced_operators(), operator_lists(folder)
    measured = [one for layout in layouts or ("nchw", "nhwc") for one in networks(folder, layout)]
    chosen = [one for one in measured if one.traced in traced or (one.key in lists and one.layout == "nchw")]
    works, counts, listed = [], [], 0
    for one in chosen:
        if one.traced in traced:
            work, count = traced[one.traced]
        else:
            listed += 1
            operators = operators_of(lists[one.key], one.batch)
            work = work_of([operator for operator, _ in operators])
            count = np.array([times for _, times in operators])
        works.append(work)
        counts.append(count)
    joined = Work(
        np.concatenate([work.classes for work in works]),
        np.concatenate([work.values for work in works]),
        np.concatenate([work.moved for work in works]),
    )
    owner = np.repeat(np.arange(len(works)), [len(work) for work in works])
    milliseconds = np.array([one.seconds * 1e3 for one in chosen])
    families = [family_of(one.key) for one in chosen]
    batches = np.array([float(one.batch) for one in chosen])
    innermost = np.array([one.layout == "nhwc" for one in chosen])
    counted = np.concatenate(counts).astype(float)
    return Networks(joined, owner, counted, milliseconds, families, batches, innermost), listed


def fp32_products(folder: Path, device: str, kernel: str) -> Kernels:
    """fp32 products of one kind on one GPU, launch included; the host prepares convolutions, it seems, before
    the device begins."""
    target, names = NEUSIGHT_TARGETS[device]
    is_conv = kernel == "conv"
    shapes, latency, tiles = [], [], []
    for row in rows(folder / "gpu_kernels" / f"neusight_train_{kernel}.csv.gz"):
        if row["Device"] in names:
            shapes.append(product_sizes(row, kernel))
            latency.append(float(row["Latency"]))
            tiles.append(_tiles(row) if is_conv else (0, 0))
    products = Products(*np.array(shapes, dtype=float).T)
    small, large = np.array(tiles, dtype=float).T
    known = (small, large) if is_conv else None
    return Kernels(device, products, np.array(latency), fp32_speed(target), tiles=known, hidden=not is_conv)


def _tiles(row: Mapping[str, str]) -> tuple[int, int]:
    """The tiles of 2 × 2 and of 4 × 4 outputs of a measured 3×3 convolution."""
    if (row["Kernel_Szie"], row["Stride"]) != ("3", "1"):
        return 0, 0
    out = int(row["Input_Size"]) + 2 * int(row["Padding"]) - 2
    small, large = (int(row["B"]) * (-(-out // side)) ** 2 for side in (2, 4))
    return small, large


def fp32_speed(target: str) -> GpuSpeed:
    """The figures of a GPU in fp32; convolutions and products both ran on vector units."""
    return replace(gpu_speed(resolve_target(target, precision="fp32")), tensor=False)


def fp32_streams(folder: Path, device: str, kernel: str) -> tuple[Work, np.ndarray, GpuSpeed]:
    """fp32 kernels that stream on one GPU: their work, milliseconds with the launch, and its figures."""
    target, names = NEUSIGHT_TARGETS[device]
    taken = [
        (int(row["B"]), int(row["B"]) * int(row["H"]), float(row["Latency"]))
        for row in rows(folder / "gpu_kernels" / f"neusight_train_{kernel}.csv.gz")
        if row["Device"] in names
    ]
    lines, elements, milliseconds = (np.array(column, dtype=float) for column in zip(*taken, strict=True))
    values = np.ones((len(taken), len(COLUMNS)))
    values[:, COLUMNS.index("scratch")] = 0
    values[:, COLUMNS.index("lines")] = lines
    values[:, COLUMNS.index("elements")] = elements
    values[:, COLUMNS.index("read")] = elements * SINGLE * (2 if kernel == "add" else 1)
    values[:, COLUMNS.index("written")] = elements * SINGLE
    values[:, COLUMNS.index("flops")] = elements
    moved = values[:, COLUMNS.index("read")] + values[:, COLUMNS.index("written")]
    classes = np.full(len(taken), CLASSES.index(STREAM_KERNELS[kernel]))
    return Work(classes, values, moved), milliseconds, fp32_speed(target)


def product_sizes(row: Mapping[str, str], kernel: str) -> tuple[float, ...]:
    """batch, rows, columns, inner, bytes of one measured product. `N` is the inner size of linear layers and
    batched products, `K` their columns: the grids of their kernels have a block for each tile of M × K."""
    if kernel == "conv":
        size, taps = int(row["Input_Size"]), int(row["Kernel_Szie"])
        out = (size + 2 * int(row["Padding"]) - taps) // int(row["Stride"]) + 1
        images, inputs, outputs = (int(row[name]) for name in ("B", "Input_Channel", "Output_Channel"))
        moved = images * inputs * size**2 + outputs * inputs * taps**2 + images * out**2 * outputs
        return 1, images * out**2, outputs, inputs * taps**2, SINGLE * moved
    batch, m, inner, columns = (int(row[name]) for name in ("B", "M", "N", "K"))
    groups, m = (batch, m) if kernel == "bmm" else (1, m * batch)
    return groups, m, columns, inner, SINGLE * groups * (m * inner + inner * columns + m * columns)
