"""What recurrent layers take, which read their input step by step.

A step waits for the one before, however much of the device is idle. What goes in from outside is one product
over all steps; at each step the recurrent matrices are read again::

    latency = product + passes · steps · step
            + steps · max(bytes / (bandwidth · share), flops / (peak · share))

where a pass is a layer in one direction, and bytes and flops are those of the recurrent matrices. On GPUs a
step is the launches of its kernels, which are other ones for more than a few samples. On CPUs torch
dispatches the operators of a step one by one, but those of an LSTM. Passes run one behind the other here;
libraries run some of them side by side. The constants and their origin: ``fitted/recurrent.json``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.costs.operators import Operator
from nas_hardware import assumptions
from nas_hardware.dispatch import on_cpu, runs_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.target import Target
    from nas_hardware.gpu_speed import GpuSpeed

    Column = NDArray[np.float64]

FITTED = Path(__file__).parent / "fitted" / "recurrent.json"
KIND = "rnn"
NAMED = ("steps", "inputs", "recurrent")
"""The dimensions without which an operator is one kernel."""


@dataclass(frozen=True)
class Recurrence:
    """A recurrent operator: how many samples take how many steps, in how many passes; the numbers of its
    `recurrent` matrices and of the others, the bytes of a number."""

    batch: int
    steps: int
    passes: int
    recurrent: int
    others: int
    inputs: int
    width: int

    @property
    def input_product(self) -> Operator:
        """The product of the inputs of all steps, as a linear layer."""
        rows, columns = self.batch * self.steps, -(-self.others // self.inputs)
        macs = rows * self.others
        weights = self.width * self.others
        return Operator(
            name="linear",
            kind="gemm",
            module="",
            macs=macs,
            flops=2 * macs,
            bytes_read=weights + self.width * rows * self.inputs,
            bytes_written=self.width * rows * columns,
            weight_bytes=weights,
            dims=(("rows", rows), ("columns", columns), ("inner", self.inputs)),
            elements=rows * columns,
            width=self.width,
        )


def recurrence_of(operator: Operator) -> Recurrence | None:
    """What is known of a recurrent operator; None for others, and where a rule does not tell NAMED."""
    if operator.kind != KIND:
        return None
    dims = dict(operator.dims)
    if not all(dims.get(name) for name in NAMED):
        return None
    batch, steps, recurrent = dims.get("batch", 1), dims["steps"], dims["recurrent"]
    return Recurrence(
        batch=batch,
        steps=steps,
        passes=dims.get("passes", 1),
        recurrent=recurrent,
        others=max(0, operator.macs // (batch * steps) - recurrent),
        inputs=dims["inputs"],
        width=max(1, operator.width),
    )


def gpu_launches_ms(layer: Recurrence) -> float:
    """What the launches of all steps take on a GPU."""
    constants = fitted()["gpu"]
    is_single = layer.batch <= constants["single_batch"]
    each: float = constants["step_us" if is_single else "batched_step_us"]
    return layer.passes * layer.steps * each / 1e3


def gpu_steps_ms(layer: Recurrence, speed: GpuSpeed) -> float:
    """What the recurrent matrices take on a GPU over all steps, beside their launches."""
    constants = fitted()["gpu"]
    memory = layer.width * layer.recurrent / (speed.bandwidth * constants["memory_share"])
    compute = 2 * layer.batch * layer.recurrent / (speed.matrix * constants["compute_share"])
    return float(layer.steps * max(memory, compute))


def host_steps_ms(operators: Sequence[Operator], target: Target) -> Column:
    """What beginning all steps takes where no more is known than a time for each, of shape (n,)."""
    found = np.zeros(len(operators))
    for index, operator in enumerate(operators):
        if layer := recurrence_of(operator):
            found[index] = layer.passes * layer.steps * _step_us(operator, target) / 1e3
    return found


def _step_us(operator: Operator, target: Target) -> float:
    """What the host spends on a step on CPUs, elsewhere a launch; no step is a graph of its own."""
    if not on_cpu(target):
        launch = target.figures.get("launch_floor_us")
        return assumptions.LAUNCH_FLOOR_US if launch is None or runs_whole(target) else launch.value
    constants = fitted()["cpu"]
    eager = constants["eager_step_us"] if target.runtime == "eager" else {}
    found: float = eager.get(operator.name, constants["step_us"])
    return found


@cache
def fitted() -> dict[str, Any]:
    """The constants with their sources."""
    content: dict[str, Any] = json.loads(FITTED.read_text(encoding="utf-8"))
    return content
