"""Launches at three levels of fusion: operators, layers, the whole model (arXiv:2505.22758)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from nas.costs import Cost, Device, Figure, Target, estimate
from nas_hardware import assumptions

LEVELS = ("eager", "tensorrt", "whole-model")
LAUNCH_US = 5.0
BANDWIDTH = 1000.0


def target(runtime: str, batch: int = 1, device_class: str = "gpu") -> Target:
    """A device that dispatches as fast as it launches: one time per kernel at every level."""
    values = {
        "fp16_tflops": 1e6,
        "fp32_tflops": 1e6,
        "memory_bandwidth_gbs": BANDWIDTH,
        "launch_floor_us": LAUNCH_US,
        "eager_operator_us": LAUNCH_US,
    }
    sheet = {name: Figure(value, "a test") for name, value in values.items()}
    return Target("t", Device("d", device_class, "v", sheet), "fp16", batch, runtime)


def network(layers: int, width: int) -> nn.Module:
    """Linear layers with activations, without values."""
    with torch.device("meta"):
        parts = [part for _ in range(layers) for part in (nn.Linear(width, width, bias=False), nn.ReLU())]
        return nn.Sequential(*parts)


DEEP, SHALLOW = (48, 256), (6, 1024)
"""Half the weights in eight times the layers."""


def price(shape: tuple[int, int], runtime: str, batch: int = 1) -> Cost:
    return estimate(network(*shape), (shape[1],), target(runtime, batch), model="roofline")


@pytest.mark.parametrize(("runtime", "launches"), [("eager", 96), ("tensorrt", 48), ("whole-model", 1)])
def test_time_is_bytes_over_bandwidth_and_launches(runtime: str, launches: int) -> None:
    cost = price(DEEP, runtime)
    moved = sum(operator.bytes_moved for operator in cost.operators)
    bandwidth = BANDWIDTH * 1e6 * assumptions.OTHER_MEMORY_UTILISATION
    assert cost.latency_ms == pytest.approx(moved / bandwidth + launches * LAUNCH_US / 1e3)


def test_one_kernel_moves_what_fused_layers_move() -> None:
    layers, whole = price(DEEP, "tensorrt"), price(DEEP, "whole-model")
    assert [operator.bytes_moved for operator in layers.operators] == [
        operator.bytes_moved for operator in whole.operators
    ]


def test_the_order_of_a_deep_and_a_shallow_network_turns_with_the_level() -> None:
    first = {level: price(DEEP, level).latency_ms < price(SHALLOW, level).latency_ms for level in LEVELS}
    assert first == {"eager": False, "tensorrt": False, "whole-model": True}


def test_the_order_turns_with_the_batch_too() -> None:
    """Launches are paid once for a batch, arithmetic and maps for each sample."""

    def gap(batch: int) -> float:
        deep, shallow = price(DEEP, "tensorrt", batch), price(SHALLOW, "tensorrt", batch)
        return deep.latency_ms / shallow.latency_ms

    assert gap(1) > gap(256)


@pytest.mark.parametrize("layers", [1, 10, 100])
def test_every_level_is_at_most_the_one_before(layers: int) -> None:
    times = [price((layers, 64), level).latency_ms for level in LEVELS]
    assert times == sorted(times, reverse=True)


def test_no_operator_is_bound_by_its_launch_in_one_kernel() -> None:
    bounds = {level: {operator.bound for operator in price(DEEP, level).operators} for level in LEVELS}
    assert ["launch" in bounds[level] for level in LEVELS] == [True, True, False]


def test_a_device_of_whole_graphs_starts_once_all_the_same() -> None:
    on = target("compiled", device_class="npu")
    module = network(*DEEP)
    times = [
        estimate(module, (256,), replace(on, runtime=runtime), model="roofline").latency_ms
        for runtime in ("compiled", "whole-model")
    ]
    assert times[0] == times[1]
