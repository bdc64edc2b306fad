"""What kernels take on CPUs: shares of the datasheet's speed that fall where a product is small.

For each operator::

    latency = flops · (1 + input floor / K) · (1 + column floor / N) / (peak · share)
            + bytes / (bandwidth · share)

with, for convolutions, K the input channels of a group times the taps of the kernel and N the positions of
the output over the batch: a matrix product pays for its edges and for packing its operands. Arithmetic and
traffic add up: no overlap of the two is to be seen in what was measured. Depthwise convolutions reach a
seventh of the share of dense ones. The shares and their origin: ``fitted/cpu.json``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas_hardware.sparse import sparse_share

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from nas.costs.operators import Operator
    from nas.costs.speed import Speed

FITTED = Path(__file__).parent / "fitted" / "cpu.json"
EDGED_KINDS = frozenset({"conv", "conv_grouped"})
"""What is run as a matrix product whose edges cost time."""


def cpu_kernel_ms(
    operators: Sequence[Operator],
    speed: Speed,
    moved: ArrayLike | None = None,
    runtime: str = "compiled",
) -> NDArray[np.float64]:
    """The milliseconds of the kernel of each operator, an array of the length of `operators`.

    `speed` is that of the target at its precision. `moved` are the bytes each one still moves in a runtime
    that fuses; None takes all that it reads and writes. `runtime` matters where one has shares of its own for
    a kind: eager pooling is not vectorised, ONNX Runtime uses all cores. Dispatch is not in it
    (`nas_hardware.dispatch`).
    """
    if not operators:
        return np.zeros(0)
    table = fitted()
    flops = np.array([operator.flops for operator in operators], dtype=np.float64)
    everything = [operator.bytes_moved for operator in operators]
    traffic = np.asarray(everything if moved is None else moved, dtype=np.float64)
    peaks = np.array([speed.peak(operator.kind) for operator in operators])
    shares = {**table["compute"], **table["compute_of_runtime"].get(runtime, {})}
    compute = np.array([_compute_share(operator, shares, table["other_compute"]) for operator in operators])
    memory = np.array([_memory_share(operator, table) for operator in operators])
    edges = np.array([_edges(operator, table) for operator in operators])
    latency: NDArray[np.float64] = flops * edges / (peaks * compute) + traffic / (speed.bandwidth * memory)
    return latency


@cache
def fitted() -> dict[str, Any]:
    """The fitted shares with their sources."""
    content: dict[str, Any] = json.loads(FITTED.read_text(encoding="utf-8"))
    return content


def _compute_share(operator: Operator, shares: dict[str, float], otherwise: float) -> float:
    """The share of the peak; that of sparse products follows from the one of dense convolutions."""
    if operator.kind == "sparse":
        return sparse_share(operator, shares["conv"])
    return shares.get(operator.kind, otherwise)


def _memory_share(operator: Operator, table: dict[str, Any]) -> float:
    """The share of the bandwidth; joining tensors moves whole rows, unlike a copy that reorders them."""
    kind = "pointwise" if operator.name in ("cat", "stack", "_to_copy") else operator.kind
    share: float = table["memory"].get(kind, table["other_memory"])
    return share


def _edges(operator: Operator, table: dict[str, Any]) -> float:
    """How much longer a convolution takes than its arithmetic, for its few inputs and output positions."""
    if operator.kind not in EDGED_KINDS:
        return 1.0
    sizes = dict(operator.dims)
    inputs = sizes.get("in_channels", 1) / max(1, sizes.get("groups", 1))
    for name, value in operator.dims:
        inputs *= value if name.startswith("kernel_") else 1
    columns = sizes.get("batch", 1)
    for name, value in operator.dims:
        columns *= value if name.startswith("out_") and name != "out_channels" else 1
    return float((1 + table["input_floor"] / max(1, inputs)) * (1 + table["column_floor"] / max(1, columns)))
