"""Measurements that are made up, so that what they lead to is known."""

from __future__ import annotations

from torch import nn

from nas.costs import Device, Figure, Target
from nas.costs.calibration import Calibration
from nas.costs.measuring.fit import Sample
from nas.costs.measuring.micro import MeasuredKernel
from nas.costs.model import CostModel
from nas.costs.operators import Operator
from nas.costs.trace import trace

FLOOR_MS = 2e-3


def board(
    calibration: Calibration | None = None, device_class: str = "dc-gpu", runtime: str = "eager"
) -> Target:
    """A device of 1 TFLOP/s and 10 GB/s."""
    sheet = {"fp32_tflops": 1.0, "memory_bandwidth_gbs": 10.0, "launch_floor_us": 2.0, "units": 1.0}
    figures = {name: Figure(value, "a sheet", "high") for name, value in sheet.items()}
    figures["eager_operator_us"] = Figure(2.0, "a sheet", "high")
    device = Device("board", device_class, "x", figures)
    return Target("board", device, "fp32", 1, runtime, calibration=calibration)


def blank() -> Calibration:
    """A calibration that changes nothing."""
    return Calibration("T2", "roofline", "me")


def sample(factor: float, kind: str = "conv", name: str = "convolution", flops: int = 1000) -> Sample:
    """A kernel that takes so many times its predicted millisecond."""
    return Sample(Operator(name, kind, "", 0, flops, 10 * flops, 10, 10), 1.0, 0.0, factor)


def kernel(model: CostModel, module: nn.Module, shape: tuple[int, ...], factor: float) -> MeasuredKernel:
    """A kernel that takes so many times its predicted time above the launch floor."""
    found = trace(module, shape)
    predicted = model.price(found, board()).latency_ms
    floor = FLOOR_MS * len(found.operators)
    return MeasuredKernel("made up", found, floor + factor * (predicted - floor), 0.0)
