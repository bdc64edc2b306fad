"""Reads the measured latencies that cost models are fitted to and judged by, from a folder that is named.

Nothing here ships: files of the folder are read by path. Operator lists hold the distinct operators of a
network at batch 1, as counted by a tracer without autocast; `operators_of` brings them to the batch of a
measurement and adds what autocast changes: which tensors are in single precision, and the casts between.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TextIO, cast

from nas.costs.operators import Operator

HALF, SINGLE = 2, 4
LOWER = frozenset({"conv", "conv_depthwise", "conv_grouped", "gemm", "bmm", "sdpa"})
"""Kinds that autocast runs in half precision."""
SINGLE_NAMES = frozenset(
    {
        "layer_norm",
        "group_norm",
        "pow",
        "rsqrt",
        "upsample_nearest2d",
        "upsample_bilinear2d",
        "upsample_bicubic2d",
    }
)
"""Operators that autocast runs in single precision."""
SINGLE_RESULTS = frozenset({"_softmax", "linalg_vector_norm", "sum", "cumsum"})
"""Operators that read what they are given and write single precision."""
CONSTANTS = frozenset({"arange", "zeros", "eye", "as_strided"})
KINDS = {
    "native_batch_norm": "norm",
    "native_layer_norm": "norm",
    "native_group_norm": "norm",
    "_softmax": "softmax",
    "linear": "gemm",
    "bmm": "bmm",
    "sdpa": "sdpa",
    "index": "gather",
} | {
    name: kind
    for kind, names in {
        "copy": "cat stack clone _to_copy copy constant_pad_nd reflection_pad2d repeat",
        "reduce": "mean linalg_vector_norm amax sum var cumsum",
        "pool": "avg_pool2d max_pool2d_with_indices _adaptive_avg_pool2d adaptive_max_pool2d",
        "resample": "upsample_nearest2d upsample_bilinear2d upsample_bicubic2d _upsample_bicubic2d_aa",
    }.items()
    for name in names.split()
}


@dataclass(frozen=True)
class Measured:
    """One measured network: its key ``model@size``, family, batch size, seconds a step, parameters in
    millions, multiply-adds in thousand millions, and how its images lie in memory."""

    key: str
    family: str
    batch: int
    seconds: float
    params: float
    gmacs: float
    layout: str = "nchw"

    @property
    def traced(self) -> str:
        """The key of its operators."""
        return f"{self.key}/{self.layout}"


def networks(folder: Path, layout: str = "nchw") -> list[Measured]:
    """The networks that timm measured on an RTX 3090 in autocast, PyTorch 2.4 (folder ``timm_rtx3090``)."""
    path = folder / "timm_rtx3090" / f"benchmark-infer-amp-{layout}-pt240-cu124-rtx3090.csv"
    return [
        Measured(
            f"{row['model']}@{row['infer_img_size']}",
            family_of(row["model"]),
            int(row["infer_batch_size"]),
            float(row["infer_step_time"]) / 1e3,
            float(row["param_count"]),
            float(row["infer_gmacs"] or "nan"),
            layout,
        )
        for row in rows(path)
    ]


def family_of(model: str) -> str:
    """The family of a timm model: the letters its name begins with."""
    found = re.match(r"[a-z]+", model)
    return found.group(0) if found else model


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file, compressed or not."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        yield from csv.DictReader(cast(TextIO, file))


@cache
def operator_lists(folder: Path) -> Mapping[str, Sequence[Mapping[str, str]]]:
    """The operator lists of the measured networks, by key."""
    lists: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for row in rows(folder / "timm_rtx3090" / "op_list.csv.gz"):
        lists[row["key"]].append(row)
    return lists


def operators_of(listed: Sequence[Mapping[str, str]], batch: int) -> list[tuple[Operator, int]]:
    """The operators of a list at a batch size in autocast, each with how often it runs."""
    tensors = _Tensors({}, {}, {})
    found: list[tuple[Operator, int]] = []
    for row in listed:
        if row["op"] not in CONSTANTS:
            found += _with_casts(row, batch, tensors)
    return found


@dataclass(frozen=True)
class _Tensors:
    """What is known of the last tensor of so many elements: the bytes of a number, those of the last sum of
    such, and its channels."""

    widths: dict[float, int]
    sums: dict[float, int]
    channels: dict[float, int]


def _with_casts(row: Mapping[str, str], batch: int, tensors: _Tensors) -> list[tuple[Operator, int]]:
    """An operator, and before it the cast of its input where autocast asks for another precision."""
    name = row["op"].removeprefix("native_")
    kind, dims = _described(row, batch)
    if kind == "resample":
        dims = _resampled(row, tensors)
    elif "out_channels" in dict(dims):
        tensors.channels[float(row["elems_out"])] = dict(dims)["out_channels"]
    count, before = int(row["count"]), float(row["elems_in"])
    after, weights = float(row["elems_out"]), float(row["elems_weight"])
    joins = kind == "pointwise" and (weights > 0 or before > 1.5 * after)
    given = tensors.widths.get(after if joins else before, HALF)
    if joins:
        given = max(given, tensors.sums.get(after, HALF), SINGLE if weights > 0 else HALF)
    runs = HALF if kind in LOWER else SINGLE if name in SINGLE_NAMES else given
    written = SINGLE if name in SINGLE_RESULTS else runs
    tensors.widths[after] = written
    if joins and name == "add":
        tensors.sums[after] = written
    casts = []
    if runs != given and not joins:
        casts = [(_cast(before * batch * given, before * batch * runs), count)]
    if weights and kind in LOWER:
        casts.append((_cast(weights * SINGLE, weights * HALF), count))
    held = weights * (HALF if kind in LOWER else SINGLE)
    operator = Operator(
        name=name,
        kind=kind,
        module="",
        macs=0,
        flops=_flops(row, kind, batch),
        bytes_read=round(before * batch * runs + held),
        bytes_written=round(after * batch * written),
        weight_bytes=round(held),
        sources=((-1, 0), (-1, 0)) if joins else ((-1, 0),),
        dims=dims,
    )
    return [*casts, (operator, count)]


def _cast(read: float, written: float) -> Operator:
    return Operator("_to_copy", "copy", "", 0, 0, round(read), round(written), 0, ((-1, round(read)),))


def _flops(row: Mapping[str, str], kind: str, batch: int) -> int:
    """Arithmetic; one operation for each element where the list counts none."""
    if "bilinear" in row["op"] or "bicubic" in row["op"]:
        return 8 * int(row["elems_out"]) * batch
    return int(row["flops"]) * batch or int(row["elems_out"]) * batch * (
        0 if kind in ("copy", "gather", "resample") else 1
    )


def _described(row: Mapping[str, str], batch: int) -> tuple[str, tuple[tuple[str, int], ...]]:
    """The kind of a listed operator and its dimensions at a batch size."""
    name = row["op"]
    if name == "conv":
        return _convolution(row, batch)
    kind = KINDS.get(name, "pointwise")
    sizes = [int(float(row[column] or 0)) for column in ("B", "M_or_Lq", "N_or_Lk", "K_or_D")]
    if kind == "gemm":
        return kind, tuple(
            zip(("batch", "rows", "columns", "inner"), (1, sizes[1] * batch, *sizes[2:]), strict=True)
        )
    if kind == "bmm":
        return kind, tuple(
            zip(("batch", "rows", "columns", "inner"), (sizes[0] * batch, *sizes[1:]), strict=True)
        )
    if kind == "sdpa":
        names = ("batch", "heads", "queries", "keys", "depth")
        return kind, tuple(zip(names, (batch, *sizes), strict=True))
    return kind, ()


def _resampled(row: Mapping[str, str], tensors: _Tensors) -> tuple[tuple[str, int], ...]:
    """The positions of a resampled map, by the channels of the tensor that it is made from."""
    channels = tensors.channels.get(float(row["elems_in"]), 1)
    return (("positions", max(1, int(row["elems_out"]) // channels)), ("planar", 1))


def _convolution(row: Mapping[str, str], batch: int) -> tuple[str, tuple[tuple[str, int], ...]]:
    """A convolution's kind and dimensions, worked out from its elements and arithmetic."""
    taps = [int(part) for part in row["kernel"].split("x")]
    area = 1
    for tap in taps:
        area *= tap
    groups, after = int(float(row["groups"])), int(row["elems_out"])
    inputs = max(1, round(int(row["flops"]) / (2 * after * area)))
    outputs = max(1, round(int(row["elems_weight"]) / (inputs * area)))
    positions = max(1, after // outputs)
    before = max(1, int(row["elems_in"]) // (inputs * groups))
    stride = max(1, round((before / positions) ** (1 / max(1, len(taps)))))
    kind = "conv" if groups == 1 else "conv_depthwise" if inputs == 1 else "conv_grouped"
    dims = [("batch", batch), ("in_channels", inputs * groups), ("out_channels", outputs), ("groups", groups)]
    dims += [(f"kernel_{axis}", tap) for axis, tap in enumerate(taps)]
    return kind, (*dims, ("stride_0", stride), ("out_0", positions))
