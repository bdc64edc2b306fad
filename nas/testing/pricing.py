"""Devices to price on, and cost models asked without the net that catches what they get wrong. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nas._lazy import resolve
from nas.costs import Cost, CostModel, Device, Figure, Target, Trace
from nas.costs.cost import AMOUNTS
from nas.plugins import Registry, default_registry

SPEEDS = (
    "fp32_tflops",
    "tf32_tflops",
    "fp16_tflops",
    "bf16_tflops",
    "int8_tops",
    "memory_bandwidth_gbs",
)
"""The figures of which more is never slower."""


def example_targets() -> list[Target]:
    """A large GPU that compiles, a CPU that runs operator by operator, and an accelerator of whole graphs."""
    gpu = {
        "fp32_tflops": 20.0,
        "tf32_tflops": 150.0,
        "fp16_tflops": 300.0,
        "bf16_tflops": 300.0,
        "int8_tops": 600.0,
        "memory_bandwidth_gbs": 2000.0,
        "cache_mb": 40.0,
        "units": 100.0,
        "clock_mhz": 1400.0,
        "memory_gb": 80.0,
        "tdp_w": 400.0,
        "idle_w": 50.0,
        "launch_floor_us": 2.5,
        "eager_operator_us": 9.0,
    }
    cpu = {
        "fp32_tflops": 1.0,
        "int8_tops": 2.0,
        "memory_bandwidth_gbs": 50.0,
        "cache_mb": 16.0,
        "units": 8.0,
        "clock_mhz": 3600.0,
        "memory_gb": 32.0,
        "tdp_w": 95.0,
        "idle_w": 15.0,
        "launch_floor_us": 2.0,
        "eager_operator_us": 6.0,
    }
    npu = {
        "int8_tops": 10.0,
        "fp16_tflops": 5.0,
        "fp32_tflops": 0.5,
        "memory_bandwidth_gbs": 25.0,
        "memory_gb": 4.0,
        "tdp_w": 5.0,
        "idle_w": 0.5,
        "launch_floor_us": 50.0,
    }
    return [
        Target("example-gpu", _device("example-gpu", "dc-gpu", gpu), "fp16", 1, "compiled"),
        Target("example-cpu", _device("example-cpu", "x86-cpu", cpu), "fp32", 1, "eager"),
        Target("example-npu", _device("example-npu", "npu", npu), "int8", 2, "tflite", "nhwc"),
    ]


def _device(name: str, device_class: str, figures: Mapping[str, float]) -> Device:
    sheet = {key: Figure(value, "a round figure for tests", "assumed") for key, value in figures.items()}
    return Device(name, device_class, "Example", sheet)


def faster(target: Target, figure: str, factor: float = 2.0) -> Target:
    """The target with more of one figure."""
    figures = dict(target.device.figures)
    figures[figure] = replace(figures[figure], value=factor * figures[figure].value)
    return replace(target, device=replace(target.device, figures=figures))


def nothing(target: Target) -> Trace:
    """The trace of a network without operators."""
    return Trace((), 0, 0, 0, 0, target.batch_size, target.precision)


def found_model(cost_model: str | CostModel) -> CostModel:
    """The cost model of a registered name, or the model itself."""
    return default_registry().cost_models[cost_model] if isinstance(cost_model, str) else cost_model


def predicted(model: CostModel, trace: Trace, target: Target) -> Cost:
    """What the model's own function gives, whatever that is."""
    predict = resolve(model.predict) if isinstance(model.predict, str) else model.predict
    cost: Cost = predict(trace, target)
    return cost


def amounts(cost_model: str | CostModel, places: Sequence[tuple[Trace, Target]]) -> list[tuple[float, ...]]:
    """The numbers of the costs of several traces, each on its target."""
    model = found_model(cost_model)
    costs = [predicted(model, trace, target) for trace, target in places]
    return [tuple(getattr(cost, name) for name in AMOUNTS) for cost in costs]


def judging_models(names: Sequence[str], registry: Registry) -> list[CostModel]:
    """The cost models that judge another item: those named, or those of nas itself, or else all there are.

    A model of another package may refuse a device, which is no fault of the space or target that is tested.
    """
    models = registry.cost_models
    found = list(names) or [name for name in models.unique() if models.provider(name).distribution == "nas"]
    return [models[name] for name in found or models.unique()]
