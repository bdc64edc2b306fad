"""Recurrent layers take a time for each step, whatever of the device is idle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hardware_cases import STEP, device, operator
from torch import nn

from nas.costs import Operator, estimate, resolve_target
from nas.costs.trace import trace
from nas_hardware import recurrence
from nas_hardware.assumptions import LAUNCH_FLOOR_US
from nas_hardware.fusion import executed
from nas_hardware.gpu_speed import gpu_speed
from nas_hardware.kernels import kernels_of
from nas_hardware.recurrence import (
    Recurrence,
    gpu_launches_ms,
    gpu_steps_ms,
    host_steps_ms,
    recurrence_of,
)

GPU = recurrence.fitted()["gpu"]
CPU = recurrence.fitted()["cpu"]
LAYER = Recurrence(batch=1, steps=100, passes=1, recurrent=10**6, others=10**6, inputs=500, width=4)


def recurrent(module: nn.Module, *shape: int, batch: int = 1) -> Operator:
    (found,) = (one for one in trace(module, shape, batch).operators if one.kind == "rnn")
    return found


def latency(module: nn.Module, *shape: int, target: str = "a100", **profile: object) -> float:
    return estimate(module, shape, target, **profile).latency_ms


@pytest.mark.parametrize(("build", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (2, 1), (2, 2)])
def test_what_is_known_of_a_traced_layer(build, gates, layers, directions):
    module = build(6, 5, layers, bidirectional=directions == 2, batch_first=True)
    found = recurrence_of(recurrent(module, 9, 6, batch=2))
    recurrent_numbers = layers * directions * gates * 5 * 5
    assert found == Recurrence(
        batch=2,
        steps=9,
        passes=layers * directions,
        recurrent=recurrent_numbers,
        others=sum(one.numel() for one in module.parameters() if one.ndim == 2) - recurrent_numbers,
        inputs=6,
        width=4,
    )


def test_the_inputs_of_all_steps_are_one_product():
    found = recurrence_of(recurrent(nn.GRU(6, 5, batch_first=True), 9, 6, batch=2)).input_product
    linear = trace(nn.Linear(6, 15, bias=False), (9, 6), 2).operators[0]
    names = ("kind", "macs", "flops", "bytes_read", "bytes_written", "weight_bytes")
    assert [getattr(found, name) for name in names] == [getattr(linear, name) for name in names]
    assert [found.dim(name) for name in ("rows", "columns", "inner")] == [18, 15, 6]


@pytest.mark.parametrize(
    "other",
    [
        operator("rnn", 10**6, 10**6, 10**6),
        operator("rnn", 10**6, 10**6, 10**6, steps=9),
        operator("rnn", 10**6, 10**6, 10**6, steps=9, recurrent=100),
        operator("gemm", 10**6, 10**6, 10**6, steps=9, recurrent=100),
    ],
)
def test_nothing_is_known_of_other_operators(other):
    assert recurrence_of(other) is None
    for target in (device("eager", "x86-cpu", "fp32"), device("tflite", "npu")):
        assert host_steps_ms([other], target).tolist() == [0.0]


def test_a_gpu_launches_every_step_of_every_pass():
    assert gpu_launches_ms(LAYER) == pytest.approx(100 * GPU["step_us"] / 1e3)
    assert gpu_launches_ms(replace(LAYER, passes=4)) == pytest.approx(4 * gpu_launches_ms(LAYER))
    few, many = (gpu_launches_ms(replace(LAYER, batch=GPU["single_batch"] + more)) for more in (0, 1))
    assert few == gpu_launches_ms(LAYER)
    assert many / few == pytest.approx(GPU["batched_step_us"] / GPU["step_us"])


def test_a_persistent_kernel_launches_no_step():
    """Its barrier takes as long as the least launch; the matrices are read as ever."""
    layer = replace(recurrent(nn.LSTM(64, 64, batch_first=True), 200, 64), sources=())
    launched, whole = (
        kernels_of(executed([layer], runtime), device(runtime)) for runtime in ("compiled", "whole-model")
    )
    assert whole.launch_ms == pytest.approx([200 * LAUNCH_FLOOR_US / 1e3])
    assert launched.launch_ms == pytest.approx([STEP + 200 * GPU["step_us"] / 1e3])
    assert whole.busy_ms.tolist() == launched.busy_ms.tolist()


def test_a_layer_without_a_product_of_its_inputs():
    """As a plugin's recurrence may say: all its arithmetic waits for the step before."""
    own = operator("rnn", 2 * 9 * 100, 800, 80, steps=9, inputs=8, recurrent=100)
    found = recurrence_of(replace(own, macs=9 * 100))
    assert (found.batch, found.passes, found.others) == (1, 1, 0)
    kernels = kernels_of(executed([replace(own, macs=9 * 100)], "compiled"), device())
    assert kernels.busy_ms == pytest.approx([gpu_steps_ms(found, gpu_speed(device()))])
    assert kernels.busy_ms[0] > 0


def test_a_gpu_reads_the_recurrent_matrices_at_every_step():
    """4 MB at 1 TB/s; a thousand samples take 2 GFLOP of the 10 Tflop/s."""
    speed = gpu_speed(device("eager", precision="fp32"))
    assert gpu_steps_ms(LAYER, speed) == pytest.approx(100 * 4e6 / 1e9 / GPU["memory_share"])
    batched = gpu_steps_ms(replace(LAYER, batch=1000), speed)
    assert batched == pytest.approx(100 * 2e9 / 1e10 / GPU["compute_share"], rel=1e-6)
    faster = replace(speed, bandwidth=2 * speed.bandwidth, matrix=2 * speed.matrix)
    for layer in (LAYER, replace(LAYER, batch=1000)):
        assert gpu_steps_ms(layer, faster) == pytest.approx(gpu_steps_ms(layer, speed) / 2)


@pytest.mark.parametrize(("runtime", "precision"), [("eager", "fp32"), ("compiled", "fp16")])
@pytest.mark.parametrize("build", [nn.LSTM, nn.GRU, nn.RNN])
def test_time_grows_with_the_steps(build, runtime, precision):
    module = build(32, 32, batch_first=True)
    profile = {"runtime": runtime, "precision": precision}
    for target in ("a100", "cpu"):
        if target == "cpu" and precision == "fp16":
            continue
        few, more, many = (latency(module, steps, 32, target=target, **profile) for steps in (10, 110, 210))
        assert many - more == pytest.approx(more - few, rel=0.15)
        assert more > few


def test_a_layer_in_both_directions_takes_both():
    one, both = (nn.LSTM(64, 64, batch_first=True, bidirectional=two) for two in (False, True))
    assert latency(both, 200, 64) == pytest.approx(2 * latency(one, 200, 64), rel=0.05)


def test_a_linear_layer_over_all_steps_is_no_recurrent_one():
    recurrent_ms = latency(nn.RNN(64, 64, batch_first=True), 200, 64)
    assert recurrent_ms > 50 * latency(nn.Linear(64, 64), 200, 64)


@pytest.mark.parametrize(
    ("layer", "width", "steps", "batch", "milliseconds"),
    [
        (nn.GRU, 2816, 187, 1, 46.677),
        (nn.GRU, 1536, 187, 4, 17.828),
        (nn.LSTM, 2048, 25, 1, 5.272),
        (nn.LSTM, 256, 150, 2, 2.222),
    ],
)
def test_layers_of_deep_bench_on_a_titan_xp(layer, width, steps, batch, milliseconds):
    """Measured by Baidu Research in single precision (DeepBench, results/inference, Apache-2.0)."""
    found = latency(
        layer(width, width, batch_first=True, device="meta"),
        *(steps, width),
        target="titanxp",
        precision="fp32",
        batch_size=batch,
    )
    assert found == pytest.approx(milliseconds, rel=0.25)


def test_torch_dispatches_the_steps_of_all_but_an_lstm_on_a_cpu():
    operators = [recurrent(build(8, 8, batch_first=True), 50, 8) for build in (nn.GRU, nn.RNN, nn.LSTM)]
    eager, compiled = (
        host_steps_ms(operators, device(runtime, "x86-cpu", "fp32")) for runtime in ("eager", "compiled")
    )
    assert eager.tolist() == pytest.approx(
        [50 * CPU["eager_step_us"][name] / 1e3 for name in ("gru", "rnn_tanh", "lstm")]
    )
    assert eager[0] > eager[1] > eager[2] > 0
    assert compiled.tolist() == pytest.approx([50 * CPU["step_us"] / 1e3] * 3)


def test_other_accelerators_launch_every_step():
    operators = [recurrent(nn.LSTM(8, 8, 2, batch_first=True), 50, 8), operator("conv", 10, 10, 10)]
    found = host_steps_ms(operators, device("tflite", "mobile-gpu", launch_floor_us=7.0))
    assert found == pytest.approx(np.array([2 * 50 * 0.007, 0.0]))


@pytest.mark.parametrize(("device_class", "runtime"), [("npu", "tflite"), ("dc-gpu", "whole-model")])
def test_a_step_is_no_graph_of_its_own(device_class, runtime):
    """The launch floor of what is handed a whole graph is that of the graph."""
    (layer,) = (recurrent(nn.LSTM(8, 8, batch_first=True), 50, 8),)
    (found,) = host_steps_ms([layer], device(runtime, device_class, launch_floor_us=200.0))
    assert found == pytest.approx(50 * LAUNCH_FLOOR_US / 1e3)


@pytest.mark.parametrize("model", ["roofline", "utilisation"])
@pytest.mark.parametrize("target", ["a100", "cpu", "snapdragon8gen3-npu", "mi210"])
def test_every_model_on_every_class_of_device_knows_steps(model, target):
    resolved = resolve_target(target)
    short, long = (
        estimate(nn.GRU(16, 16, batch_first=True), (steps, 16), resolved, model=model).latency_ms
        for steps in (10, 1000)
    )
    assert long > 3 * short
